// The accelerator: a stream of commands and weights from memory, activations on the chip. docs/fpga.md has the contract.
module ek_overlay #(
    parameter int IC = 16,
    parameter int OC = 8,
    parameter int PACKED = 0,
    parameter int LANES = 4,          // of requantization: 4 or 8
    parameter int ACT_KIB = 128,
    parameter int STREAM_KIB = 64,
    parameter int ACC_DEPTH = 512,
    parameter int MEM_BITS = 32,
    parameter int LOG_DEPTH = 128     // commands whose counters are kept, at most 2048
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                host_valid,
    input  logic                host_write,
    input  logic [19:0]         host_addr,
    input  logic [31:0]         host_wdata,
    output logic                host_rvalid,
    output logic [31:0]         host_rdata,
    output logic                mem_arvalid,
    input  logic                mem_arready,
    output logic [31:0]         mem_araddr,
    input  logic                mem_rvalid,
    output logic                mem_rready,
    input  logic [MEM_BITS-1:0] mem_rdata,
    output logic                irq
);
  localparam int HEADER = 28 * 32;
  localparam int WORD = OC * 8;
  localparam int AW = $clog2(ACT_KIB) + 8;
  localparam int SW = $clog2(ACC_DEPTH);
  localparam int LW = $clog2(LOG_DEPTH);
  localparam int READ = 6;                      // cycles from an address to its activations
  localparam int SUM = READ + 2 * PACKED;       // to the accumulators' address
  localparam int TAKEN = 4;                     // from the address of finished sums to the sums

  // Reset reaches each part a cycle after the one before: no net has to span the device.
  logic [4:0] resets;
  always_ff @(posedge clk) resets <= {resets[3:0], rst};

  // Control
  logic busy, start, ended;
  logic [31:0] base, beats;
  // The host's request, a cycle later
  logic host_memory, writes, to_control, to_base, to_beats;
  logic [19:0] at;
  logic [31:0] host_word;
  logic asks;
  always_ff @(posedge clk) begin
    host_memory <= host_valid && host_addr[19];
    writes <= host_write;
    asks <= host_valid && !host_write;
    at <= host_addr;
    host_word <= host_wdata;
    to_control <= host_valid && host_write && !host_addr[19] && host_addr[18:2] == 17'h02 && host_wdata[0];
    to_base <= host_valid && host_write && !host_addr[19] && host_addr[18:2] == 17'h04;
    to_beats <= host_valid && host_write && !host_addr[19] && host_addr[18:2] == 17'h05;
  end
  always_ff @(posedge clk) begin
    start <= 1'b0;
    if (rst) begin
      busy <= 1'b0;
      irq <= 1'b0;
      base <= '0;
      beats <= '0;
    end else begin
      if (to_base) base <= host_word;
      if (to_beats) beats <= host_word;
      if (to_control && !busy) begin
        start <= 1'b1;
        busy <= 1'b1;
        irq <= 1'b0;
      end
      if (ended) begin
        busy <= 1'b0;
        irq <= 1'b1;
      end
    end
  end

  // Stream
  logic stream_valid, stream_ready, plenty;
  logic [WORD-1:0] stream;
  ek_stream #(.WORD(WORD), .DEPTH(STREAM_KIB * 1024 / OC), .MEM_BITS(MEM_BITS)) reader (
      .clk(clk), .rst(resets[0]), .start(start), .base(base), .beats(beats),
      .mem_arvalid(mem_arvalid), .mem_arready(mem_arready), .mem_araddr(mem_araddr),
      .mem_rvalid(mem_rvalid), .mem_rready(mem_rready), .mem_rdata(mem_rdata),
      .out_valid(stream_valid), .out_ready(stream_ready), .out_data(stream),
      .plenty(plenty)
  );
  logic [HEADER-1:0] next, header;
  logic next_valid, next_taken, idle;
  logic [1:0] parameters_free, halves_free;
  logic parameter_valid, parameter_set, weights_used, weights_ready, table_valid;
  logic [3:0] parameter_byte;
  logic [IC-1:0] weight_rows;
  logic [WORD-1:0] data;
  logic [8:0] table_at;
  logic weight_diagonal;
  logic [31:0] table_data;
  ek_loader #(.IC(IC), .OC(OC)) loader (
      .clk(clk), .rst(resets[1]),
      .stream_valid(stream_valid), .stream_ready(stream_ready), .stream(stream), .plenty(plenty),
      .header(next), .header_valid(next_valid), .header_taken(next_taken),
      .parameters_free(parameters_free), .parameter_valid(parameter_valid), .parameter_set(parameter_set),
      .parameter_byte(parameter_byte), .data(data),
      .weights_used(weights_used), .weights_ready(weights_ready), .weight_rows(weight_rows),
      .weight_diagonal(weight_diagonal),
      .idle(idle), .table_valid(table_valid), .table_at(table_at), .table_data(table_data)
  );

  // Issue
  logic running, valid, vector, first, last, operand, swap, half, block_start, block_end, waits_weights, waits_sums;
  logic [AW-1:0] addr, out_addr, block_addr;
  logic signed [15:0] x, y;
  logic [SW-1:0] slot;
  logic [1:0] block_words;
  ek_issue #(.AW(AW), .SLOTS(ACC_DEPTH)) issue (
      .clk(clk), .rst(resets[2]), .next(next), .next_valid(next_valid), .next_taken(next_taken), .idle(idle),
      .weights_ready(weights_ready), .weights_used(weights_used), .halves_free(halves_free),
      .header(header), .running(running), .ended(ended),
      .valid(valid), .vector(vector), .addr(addr), .x(x), .y(y), .first(first), .last(last), .operand(operand),
      .out_addr(out_addr), .swap(swap), .half(half), .slot(slot),
      .block_start(block_start), .block_end(block_end), .block_addr(block_addr), .block_words(block_words),
      .waits_weights(waits_weights), .waits_sums(waits_sums)
  );

  // Three times the distance of a read's words
  logic [AW-1:0] triple;
  always_ff @(posedge clk) if (next_taken) triple <= next[32*7+:AW] + {next[32*7+:AW-1], 1'b0};

  // Activations; the host reads and writes them while nothing runs
  logic [IC*8-1:0] words;
  logic result_valid;
  logic [AW-1:0] result_addr;
  logic [31:0] result;
  logic beside_valid;
  logic [AW-1:0] beside_addr;
  logic [31:0] beside_result;
  logic host_reads, host_read1;
  always_ff @(posedge clk) host_read1 <= host_reads;
  assign host_reads = host_memory && !writes && !busy;
  ek_activations #(.IC(IC), .AW(AW), .WRITES(LANES / 4)) activations (
      .clk(clk),
      .addr(host_reads ? at[AW+1:2] : addr),
      .x(host_reads ? 16'sd0 : x),
      .y(host_reads ? 16'sd0 : y),
      .step(header[32*7+:AW]),
      .triple(triple),
      .step_x(header[32*7+24]),
      .step_y(header[32*7+25]),
      .width(host_read1 ? 16'd1 : header[32*6+:16]),
      .height(host_read1 ? 16'd1 : header[32*6+16+:16]),
      .pad(header[23:16]),
      .words(words),
      .write(result_valid || (host_memory && writes && !busy)),
      .waddr(result_valid ? result_addr : at[AW+1:2]),
      .wdata(result_valid ? result : host_word),
      .write2(beside_valid),
      .waddr2(beside_addr),
      .wdata2(beside_result)
  );

  // What travels with a read
  logic [SUM-1:0] conv_valids;
  logic [READ-1:0] swaps, vector_valids, vector_firsts, vector_lasts, operands;
  logic [SUM-1:0] firsts, halves;
  logic [SUM*SW-1:0] slots;
  logic [SUM+1:0] ends, end_halves;
  always_ff @(posedge clk) begin
    conv_valids <= {conv_valids[SUM-2:0], valid && !vector};
    ends <= {ends[SUM:0], block_end};
    end_halves <= {end_halves[SUM:0], half};
    swaps <= {swaps[READ-2:0], swap};
    vector_valids <= {vector_valids[READ-2:0], valid && vector};
    vector_firsts <= {vector_firsts[READ-2:0], first};
    vector_lasts <= {vector_lasts[READ-2:0], last};
    operands <= {operands[READ-2:0], operand};
    firsts <= {firsts[SUM-2:0], first};
    halves <= {halves[SUM-2:0], half};
    slots <= {slots[(SUM-1)*SW-1:0], slot};
  end
  assign weights_used = swaps[READ-4];  // the next weights arrive together with the swap

  logic [OC*20-1:0] sums;
  ek_array #(.IC(IC), .OC(OC), .PACKED(PACKED)) array (
      .clk(clk), .weight_rows(weight_rows), .weight_diagonal(weight_diagonal), .weights(data),
      .swap(swaps[READ-2]), .activations(words), .sums(sums)
  );

  logic taking, taken_half;
  logic [SW-1:0] taken_slot;
  logic [OC*32-1:0] taken;
  ek_accumulators #(.OC(OC), .DEPTH(ACC_DEPTH)) accumulators (
      .clk(clk),
      .valid(conv_valids[SUM-1]), .half(halves[SUM-1]), .slot(slots[(SUM-1)*SW+:SW]), .first(firsts[SUM-1]),
      .sums(sums),
      .taking(taking), .taken_half(taken_half), .taken_slot(taken_slot), .taken(taken)
  );

  logic released, released_half, drain_busy;
  logic [1:0] drain_word;
  logic [AW-1:0] drain_addr;
  /* verilator lint_off UNUSEDSIGNAL */
  logic drain_beside;  // not used with four lanes
  logic [AW-1:0] beside_step;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [24:0] drain_epilogue;
  ek_drain #(.AW(AW), .SLOTS(ACC_DEPTH), .WORDS(OC / 4), .LANES(LANES)) drain (
      .clk(clk), .rst(resets[3]),
      .block_start(block_start), .block_half(half), .block_addr(block_addr), .block_words(block_words),
      .columns(header[32*8+:16]), .rows(header[32*10+:16]),
      .twos(header[13]), .pair_step(header[32*25+:AW]),
      .word_step(header[32*21+:AW]), .column_step(header[32*22+:AW]), .row_step(header[32*23+:AW]),
      .epilogue({header[32+8+:8], header[32+:8], header[24+:8], header[6]}),
      .sums_done(ends[SUM+1]), .sums_half(end_halves[SUM+1]), .halves_free(halves_free),
      .released(released), .released_half(released_half), .busy(drain_busy),
      .valid(taking), .half(taken_half), .slot(taken_slot), .word(drain_word), .addr(drain_addr),
      .beside(drain_beside), .beside_step(beside_step),
      .shown(drain_epilogue)
  );

  // Parameters of requantization: two sets of ten bytes per lane
  logic [2*OC*80-1:0] parameters;
  logic [1:0] parameters_full;
  assign parameters_free = ~parameters_full;
  integer l, b;
  always_ff @(posedge clk) begin
    for (l = 0; l < OC; l++)
      for (b = 0; b < 10; b++) begin
        if (parameter_valid && !parameter_set && parameter_byte == 4'(b)) parameters[80*l+8*b+:8] <= data[8*l+:8];
        if (parameter_valid && parameter_set && parameter_byte == 4'(b))
          parameters[80*(OC+l)+8*b+:8] <= data[8*l+:8];
      end
    if (resets[1]) parameters_full <= '0;
    else begin
      if (parameter_valid && parameter_byte == 4'd9) parameters_full[parameter_set] <= 1'b1;
      if (released) parameters_full[released_half] <= 1'b0;
    end
  end

  // The vector unit
  logic vector_out;
  logic [127:0] vector_sums;
  ek_vector unit (
      .clk(clk), .table_valid(table_valid), .table_at(table_at), .table_data(table_data),
      .valid(vector_valids[READ-1]), .first(vector_firsts[READ-1]), .last(vector_lasts[READ-1]),
      .operand(operands[READ-1] && header[9]), .largest(header[7]), .multiplies(header[8]),
      .activations(words[31:0]), .out_valid(vector_out), .out(vector_sums)
  );
  localparam int VECTOR = READ + 6;
  logic [VECTOR*AW-1:0] out_addrs;
  always_ff @(posedge clk) out_addrs <= {out_addrs[(VECTOR-1)*AW-1:0], out_addr};

  // Requantization: what was taken from the accumulators, or what comes from the vector unit
  logic [TAKEN-1:0] taking_then;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [2*TAKEN-1:0] word_then;  // arrays of few lanes have one word
  /* verilator lint_on UNUSEDSIGNAL */
  logic [1:0] set_then;
  logic [TAKEN*AW-1:0] addr_then;
  logic [TAKEN*25-1:0] epilogue_then;
  always_ff @(posedge clk) begin
    taking_then <= {taking_then[TAKEN-2:0], taking};
    word_then <= {word_then[2*TAKEN-3:0], drain_word};
    set_then <= {set_then[0], taken_half};
    addr_then <= {addr_then[(TAKEN-1)*AW-1:0], drain_addr};
    epilogue_then <= {epilogue_then[(TAKEN-1)*25-1:0], drain_epilogue};
  end
  localparam int FEW = LANES == 8 ? 1 : 0;  // multipliers of a lane
  localparam int RESULT = 16 + FEW;         // cycles from here to the result
  localparam int LIMITS = 12 + FEW;         // to the limits
  logic [RESULT-1:0] lane_valids;
  logic [RESULT*AW-1:0] lane_addrs;
  logic [LIMITS*24-1:0] lane_limits;
  logic lane_once;
  always_ff @(posedge clk) begin
    lane_valids <= {lane_valids[RESULT-2:0], taking_then[TAKEN-1] || vector_out};
    lane_addrs <= {
      lane_addrs[(RESULT-1)*AW-1:0], vector_out ? out_addrs[(VECTOR-1)*AW+:AW] : addr_then[(TAKEN-1)*AW+:AW]
    };
    lane_limits <= {
      lane_limits[(LIMITS-1)*24-1:0],
      vector_out ? {header[32+8+:8], header[32+:8], header[24+:8]} : epilogue_then[TAKEN*25-1-:24]
    };
    lane_once <= vector_out ? header[6] : epilogue_then[(TAKEN-1)*25];
  end
  logic [8*LANES-1:0] results;
  genvar g;
  generate
    for (g = 0; g < LANES; g++) begin : g_lane
      // Lane g of a word: lanes 4 to 7 have the words beside, of which the vector unit has none.
      localparam int STEP = g < 4 ? 4 : 8;
      /* verilator lint_off UNUSEDSIGNAL */
      logic [79:0] of_lane, of_set0, of_set1;  // 10 bytes, not all bits of which mean something
      logic [79:0] of_lane_then;
      // Each in 128 bits: 80 times a number would take a multiplier.
      logic [OC/STEP*128-1:0] choice0, choice1;
      /* verilator lint_on UNUSEDSIGNAL */
      logic [31:0] sum_of_lane;
      logic signed [31:0] sum, bias;
      logic [30:0] multiplier;
      logic [4:0] left, right;
      logic [OC/STEP*32-1:0] sums_choice;
      for (genvar w = 0; w < OC / STEP; w++) begin : g_word
        assign choice0[128*w+:128] = {48'd0, parameters[80*(STEP*w+g)+:80]};
        assign choice1[128*w+:128] = {48'd0, parameters[80*(OC+STEP*w+g)+:80]};
        assign sums_choice[32*w+:32] = taken[32*(STEP*w+g)+:32];
      end
      // The parameters are chosen while the sums are on their way.
      if (OC == STEP) begin : g_one
        always_ff @(posedge clk) {of_set0, of_set1} <= {choice0[79:0], choice1[79:0]};
        assign sum_of_lane = sums_choice;
      end else begin : g_many
        always_ff @(posedge clk) begin
          of_set0 <= choice0[128*word_then[STEP/8+:$clog2(OC/STEP)]+:80];
          of_set1 <= choice1[128*word_then[STEP/8+:$clog2(OC/STEP)]+:80];
        end
        assign sum_of_lane = sums_choice[32*word_then[2*(TAKEN-1)+STEP/8+:$clog2(OC/STEP)]+:32];
      end
      always_ff @(posedge clk) begin
        of_lane_then <= set_then[1] ? of_set1 : of_set0;
        of_lane <= of_lane_then;
        sum <= vector_out && g < 4 ? vector_sums[32*(g%4)+:32] : sum_of_lane;
        bias <= vector_out ? 32'd0 : of_lane[31:0];
        multiplier <= vector_out ? header[32*2+:31] : of_lane[62:32];
        right <= vector_out ? header[32*3+:5] : of_lane[68:64];
        left <= vector_out ? header[32*3+8+:5] : of_lane[76:72];
      end
      ek_requantize #(.FEW(FEW)) lane (
          .clk(clk), .sum(sum), .bias(bias), .multiplier(multiplier), .left(left), .right(right), .once(lane_once),
          .zero(lane_limits[24*(LIMITS-1)+:8]), .least(lane_limits[24*(LIMITS-1)+8+:8]),
          .most(lane_limits[24*(LIMITS-1)+16+:8]), .result(results[8*g+:8])
      );
    end
  endgenerate
  assign result_valid = lane_valids[RESULT-1];
  assign result_addr = lane_addrs[(RESULT-1)*AW+:AW];
  assign result = results[31:0];
  generate
    if (LANES == 8) begin : g_beside
      logic [TAKEN+RESULT-1:0] besides;
      logic [(TAKEN+RESULT)*AW-1:0] addrs;
      always_ff @(posedge clk) begin
        besides <= {besides[TAKEN+RESULT-2:0], drain_beside};
        addrs <= {addrs[(TAKEN+RESULT-1)*AW-1:0], drain_addr + beside_step};
      end
      assign beside_valid = besides[TAKEN+RESULT-1];
      assign beside_addr = addrs[(TAKEN+RESULT-1)*AW+:AW];
      assign beside_result = results[63:32];
    end else begin : g_alone
      assign beside_valid = 1'b0;
      assign beside_addr = '0;
      assign beside_result = '0;
    end
  endgenerate
  // Two cycles late, which `running` makes up for: what a command began is on its way when it no longer runs.
  logic running_then, on_their_way, drains, requantizes;
  always_ff @(posedge clk) begin
    running_then <= running;
    on_their_way <= valid || (|conv_valids) || (|vector_valids) || unit_busy;
    drains <= drain_busy || (|taking_then);
    requantizes <= |lane_valids;
    idle <= !running && !running_then && !on_their_way && !drains && !requantizes;
  end
  logic [6:0] unit_valids;
  logic unit_busy;
  assign unit_busy = |unit_valids;
  always_ff @(posedge clk) unit_valids <= {unit_valids[5:0], vector_valids[READ-1]};

  // Counters, and their log
  logic [31:0] cycles, active, weights_waited, sums_waited, beats_read, vector_active, commands;
  logic beat;
  always_ff @(posedge clk) begin
    beat <= mem_rvalid && mem_rready;
    if (resets[4] || start) begin
      {cycles, active, weights_waited, sums_waited, beats_read, vector_active, commands} <= '0;
    end else if (busy) begin
      cycles <= cycles + 1'b1;
      active <= active + 32'(valid && !vector);
      vector_active <= vector_active + 32'(valid && vector);
      weights_waited <= weights_waited + 32'(waits_weights);
      sums_waited <= sums_waited + 32'(waits_sums);
      beats_read <= beats_read + 32'(beat);
      commands <= commands + 32'(next_taken);
    end
  end
  logic [191:0] snapshot;
  logic [2:0] log_word;
  logic [LW-1:0] log_entry;
  logic logging;
  always_ff @(posedge clk) begin
    if (next_taken) begin
      snapshot <= {vector_active, beats_read, sums_waited, weights_waited, active, cycles};
      log_entry <= commands[LW-1:0];
    end else if (logging) snapshot <= {32'b0, snapshot[191:32]};
    if (resets[4]) begin
      logging <= 1'b0;
      log_word <= '0;
    end else if (next_taken) begin
      logging <= commands < 32'(LOG_DEPTH);
      log_word <= '0;
    end else if (logging) begin
      log_word <= log_word + 1'b1;
      if (log_word == 3'd5) logging <= 1'b0;
    end
  end
  logic [31:0] log_data;
  ek_ram #(.WIDTH(32), .DEPTH(8 * LOG_DEPTH)) log (
      .clk(clk), .write(logging), .waddr({log_entry, log_word}), .wdata(snapshot[31:0]),
      .read(1'b1), .raddr(log_at), .rdata(log_data)
  );
  logic [LW+2:0] log_at;
  assign log_at = at[LW+4:2];

  // Reads of the host, READ + 2 cycles
  logic [READ-1:0] reads, from_memory;
  logic [1:0] from_log;
  logic [31:0] register_then;
  logic [31:0] about, work, waits, rest;  // registers by bits 5-4 of the address
  logic [1:0] group;
  logic known;
  logic [31:0] log_then, shown;
  logic [(READ-2)*32-1:0] registers;
  always_comb begin
    case (group)
      2'd0: shown = about;
      2'd1: shown = work;
      2'd2: shown = waits;
      default: shown = rest;
    endcase
  end
  always_ff @(posedge clk) begin
    reads <= {reads[READ-2:0], asks};
    from_memory <= {from_memory[READ-2:0], at[19]};
    from_log <= {from_log[0], at[16]};
    case (at[3:2])
      2'd0: about <= 32'h454b4f31;
      2'd1: about <= {8'd0, 6'd0, LANES == 8, PACKED != 0, 8'(OC), 8'(IC)};
      2'd3: about <= {31'd0, busy};
      default: about <= '0;
    endcase
    case (at[3:2])
      2'd0: work <= base;
      2'd1: work <= beats;
      default: work <= '0;
    endcase
    case (at[3:2])
      2'd0: waits <= cycles;
      2'd1: waits <= active;
      2'd2: waits <= weights_waited;
      default: waits <= sums_waited;
    endcase
    case (at[3:2])
      2'd0: rest <= beats_read;
      2'd1: rest <= commands;
      2'd2: rest <= vector_active;
      default: rest <= '0;
    endcase
    group <= at[5:4];
    known <= at[7:6] == 0;
    log_then <= log_data;
    register_then <= known ? shown : '0;
    registers <= {registers[(READ-3)*32-1:0], from_log[1] ? log_then : register_then};
    host_rvalid <= reads[READ-1];
    host_rdata <= from_memory[READ-1] ? words[31:0] : registers[(READ-3)*32+:32];
  end
  logic unused;
  assign unused = &{1'b0, header, at};
endmodule
