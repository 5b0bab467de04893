// Executes commands: six nested loops make one read of activations per cycle, with what becomes of it.
//
// Convolution (innermost first): columns, rows (together the tile's slots), blocks of input channels, taps x, taps y
// (together the passes), blocks of output channels. Vector: operands or taps x, taps y, words of channels, columns,
// rows.
//
// The loops run ahead in three stages: which loop steps, by which differences, and to what addresses. A small buffer
// lets them: the gate at its end, which waits for weights and sums, is no part of their paths.
module ek_issue #(
    parameter int AW = 15,
    parameter int SLOTS = 512,
    localparam int SW = $clog2(SLOTS),
    localparam int HEADER = 28 * 32
) (
    input  logic               clk,
    input  logic               rst,
    input  logic [HEADER-1:0]  next,          // header of the next command
    input  logic               next_valid,
    output logic               next_taken,
    input  logic               idle,          // nothing is on its way through array, vector unit and requantization
    input  logic               weights_ready,
    input  logic               weights_used,
    input  logic [1:0]         halves_free,
    output logic [HEADER-1:0]  header,        // of the command that runs
    output logic               running,
    output logic               ended,         // the last command was taken
    // The read
    output logic               valid,
    output logic               vector,
    output logic [AW-1:0]      addr,
    output logic signed [15:0] x,
    output logic signed [15:0] y,
    output logic               first,         // of a sum
    output logic               last,
    output logic               operand,
    output logic [AW-1:0]      out_addr,      // vector: of the word
    output logic               swap,
    output logic               half,
    output logic [SW-1:0]      slot,
    output logic               block_start,   // of a convolution's block, whose results are described by:
    output logic               block_end,     // its last slot of its last pass
    output logic [AW-1:0]      block_addr,
    output logic [1:0]         block_words,
    // Counters
    output logic               waits_weights,
    output logic               waits_sums
);
  localparam logic [3:0] CONV = 4'd1, VECTOR = 4'd2;
  localparam int INTERVAL = 5;  // cycles from a slot to the same slot of the next pass

  // Acceptance: one cycle after all that it needs is there
  logic [3:0] next_op;
  logic prior_vector, needs_idle;
  assign next_op = next[3:0];
  assign needs_idle = next[4] || next_op != CONV || prior_vector;
  logic conv, hold;
  always_ff @(posedge clk) begin
    next_taken <= next_valid && !next_taken && !running && (!needs_idle || idle) && !rst;
    if (next_taken) begin
      header <= next;
      conv <= next_op == CONV;
      hold <= next[5];
    end
  end

  // The loops; `load` sets them, two cycles after the header. Of each there is known: it is at its end, it is one step
  // before (`nearly`), and the loops inside it are at their ends (`due`).
  logic looping, go, loads, load;
  logic [5:0] at_end, end_next, due, stepping;
  logic [4:0] at_start;
  logic advance, finished;
  assign advance = looping && go;
  assign stepping = due & ~at_end;
  always_ff @(posedge clk) begin
    if (rst) {loads, load, looping} <= '0;
    else begin
      loads <= next_taken && (next_op == CONV || next_op == VECTOR);
      load <= loads;
      looping <= load || (looping && !(go && finished));
    end
  end
  assign finished = due[5] && at_end[5];
  genvar i;
  generate
    for (i = 0; i < 6; i++) begin : g_loop
      logic [15:0] left, most;
      logic nearly, ends, once, twice, moves;  // once, twice: it has so many iterations
      assign at_end[i] = ends;
      assign most = header[32*(8+2*i)+:16];
      assign moves = load || (advance && due[i]);
      assign end_next[i] = !moves ? ends : load || ends ? once : nearly;
      always_ff @(posedge clk) begin
        once <= most == 0;
        twice <= most == 1;
        ends <= end_next[i];
        due[i] <= i == 0 || (&(end_next | ~6'((1 << i) - 1)));
        if (moves) begin
          left <= load || ends ? most : left - 1'b1;
          nearly <= load || ends ? twice : left == 2;
        end
      end
      if (i < 5) begin : g_start
        logic begins;
        assign at_start[i] = begins;
        always_ff @(posedge clk) if (moves) begins <= load || ends;
      end
    end
  endgenerate

  // 1: which loop steps after this read
  typedef struct packed {
    logic pass_end, sum_start, sum_end;  // sum: all passes of a block, or all reads of a word
    logic operand, block_last, finished;
    logic starts, swaps, fills;  // waits for the pass before, for weights, for a half of the accumulators
  } place_t;
  place_t place1, place2, place3;
  logic valid1, valid2, valid3, begins1, begins2;
  logic [5:0] step1;
  // 2: what is added then. Addresses and coordinates are sums of differences: of each loop, from the last iteration of
  // the loops inside it to the first of its next.
  logic [AW-1:0] more2, more_out2, some, some_out;
  logic signed [15:0] more_x2, more_y2, some_x, some_y;
  integer s;
  always_comb begin
    some = '0;
    some_x = '0;
    some_y = '0;
    some_out = '0;
    for (s = 0; s < 6; s++) begin
      some = some | (step1[s] ? header[32*(9+2*s)+:AW] : '0);
      some_x = some_x | (step1[s] ? 16'($signed({header[32*(9+2*s)+18+:7], header[32*(8+2*s)+16+:8]})) : 16'd0);
      some_y = some_y | (step1[s] ? 16'($signed({header[32*(9+2*s)+25+:7], header[32*(8+2*s)+24+:8]})) : 16'd0);
    end
    for (s = 2; s < 5; s++) some_out = some_out | (step1[s] ? header[32*(19+s)+:AW] : '0);
  end
  // 3: the read
  logic [AW-1:0] addr3, more3, out3, more_out3, block3;
  logic signed [15:0] x3, y3, more_x3, more_y3;
  logic [SW-1:0] slot3;
  logic half3, pass_over3, block_over3;
  logic begins;  // the command's first read is next
  always_ff @(posedge clk) begin
    if (rst) begin
      {valid1, valid2, valid3} <= '0;
      half3 <= 1'b0;
      block_over3 <= 1'b0;
    end else begin
      valid1 <= advance;
      valid2 <= valid1;
      valid3 <= valid2;
      if (valid2) begin
        half3 <= half3 ^ block_over3;
        block_over3 <= conv && place2.pass_end && place2.sum_end;
      end
    end
    if (load) begins <= 1'b1;
    else if (advance) begins <= 1'b0;
    begins1 <= begins;
    step1 <= stepping;
    place1.pass_end <= at_end[0] && at_end[1];
    place1.sum_start <= conv ? &at_start[4:2] : at_start[0] && at_start[1];
    place1.sum_end <= conv ? &at_end[4:2] : at_end[0] && at_end[1];
    place1.operand <= !at_start[0];
    place1.block_last <= at_end[5];
    place1.finished <= finished;
    place1.starts <= conv && at_start[0] && at_start[1];
    place1.swaps <= conv && at_start[0] && at_start[1] && (!hold || (&at_start[4:2]));
    place1.fills <= conv && (&at_start);
    begins2 <= begins1;
    place2 <= place1;
    more2 <= some;
    more_x2 <= some_x;
    more_y2 <= some_y;
    more_out2 <= some_out;
    if (valid2) begin
      place3 <= place2;
      more3 <= more2;
      more_x3 <= more_x2;
      more_y3 <= more_y2;
      more_out3 <= more_out2;
      pass_over3 <= place2.pass_end;
      addr3 <= begins2 ? header[32*4+:AW] : addr3 + more3;
      x3 <= begins2 ? header[32*5+:16] : x3 + more_x3;
      y3 <= begins2 ? header[32*5+16+:16] : y3 + more_y3;
      out3 <= begins2 ? header[32*20+:AW] : out3 + more_out3;
      block3 <= begins2 ? header[32*20+:AW] : block_over3 ? block3 + header[32*24+:AW] : block3;
      slot3 <= begins2 || pass_over3 ? '0 : slot3 + 1'b1;
    end
  end

  // The buffer
  typedef struct packed {
    place_t place;
    logic [AW-1:0] addr, out, block;
    logic signed [15:0] x, y;
    logic [SW-1:0] slot;
    logic half;
  } read_t;
  read_t made, taken, now;
  localparam int READ_BITS = 9 + 3 * AW + 32 + SW + 1;
  logic [READ_BITS-1:0] buffer[16];  // nothing stops what has left the loops
  logic [3:0] head, tail;
  logic [4:0] count;
  logic filled, pass;
  assign made = {place3, addr3, out3, block3, x3, y3, slot3, half3};
  assign taken = buffer[head];
  logic puts, takes, takes_then;
  assign puts = valid3;
  assign takes = head != tail && (!filled || pass);
  always_ff @(posedge clk) begin
    if (puts) buffer[tail] <= made;
    if (takes) now <= taken;
    if (rst) begin
      go <= 1'b0;
      head <= '0;
      tail <= '0;
      count <= '0;
      takes_then <= 1'b0;
      filled <= 1'b0;
    end else begin
      // Seven reads last until the loops, once they go again, have made the next: slots of a pass follow without a gap.
      go <= count < 5'd8;
      if (puts) tail <= tail + 1'b1;
      if (takes) head <= head + 1'b1;
      takes_then <= takes;
      count <= count + 5'(puts) - 5'(takes_then);  // at least what there is
      filled <= takes || (filled && !pass);
    end
  end

  // The gate: what has to be there before a pass begins
  logic claimed, weights_here, weights_missing, halves_missing, interval_over;
  logic [INTERVAL-3:0] starts_then;
  assign weights_missing = now.place.swaps && !weights_here;
  assign halves_missing = now.place.fills && !halves_free[now.half];
  assign pass = filled && !weights_missing && !halves_missing && (!now.place.starts || interval_over);
  always_ff @(posedge clk) begin
    waits_weights <= (filled && weights_missing) || (!running && !next_valid);
    waits_sums <= (filled && !pass && !weights_missing) || (!running && next_valid && !next_taken);
    if (rst) begin
      running <= 1'b0;
      ended <= 1'b0;
      prior_vector <= 1'b0;
      claimed <= 1'b0;
      starts_then <= '0;
      weights_here <= 1'b0;
      interval_over <= 1'b1;
      {valid, swap, block_start, block_end} <= '0;
    end else begin
      ended <= next_taken && next_op != CONV && next_op != VECTOR;
      if (next_taken) begin
        running <= next_op == CONV || next_op == VECTOR;
        prior_vector <= next_op == VECTOR;
      end else if (pass && now.place.finished) running <= 1'b0;
      starts_then <= {starts_then[INTERVAL-4:0], pass && now.place.starts};
      interval_over <= !(|starts_then) && !(pass && now.place.starts);
      weights_here <= weights_ready && !claimed && !(pass && now.place.swaps);
      if (pass && now.place.swaps) claimed <= 1'b1;
      else if (weights_used) claimed <= 1'b0;
      valid <= pass;
      swap <= pass && now.place.swaps;
      block_start <= pass && now.place.fills;
      block_end <= pass && conv && now.place.pass_end && now.place.sum_end;
    end
    vector <= !conv;
    addr <= now.addr;
    x <= now.x;
    y <= now.y;
    first <= now.place.sum_start;
    last <= now.place.sum_end;
    operand <= now.place.operand;
    out_addr <= now.out;
    half <= now.half;
    slot <= now.slot;
    block_addr <= now.block;
    block_words <= now.place.block_last ? header[32+22+:2] : header[32+20+:2];
  end
endmodule
