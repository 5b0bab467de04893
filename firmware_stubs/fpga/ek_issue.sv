// Executes commands: six nested loops make one read of activations per cycle, with what becomes of it.
//
// Convolution (innermost first): columns, rows (together the tile's slots), blocks of input channels, taps x, taps y
// (together the passes), blocks of output channels. Vector: operands or taps x, taps y, words of channels, columns,
// rows.
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
  localparam logic [2:0] INTERVAL = 3'd4;  // cycles from a slot to the same slot of the next pass

  // Acceptance
  logic [3:0] next_op;
  logic prior_vector, needs_idle;
  assign next_op = next[3:0];
  assign needs_idle = next[4] || next_op != CONV || prior_vector;
  assign next_taken = next_valid && !running && (!needs_idle || idle);

  // The loops. Addresses and coordinates are sums of differences: of each loop, from the last iteration of the loops
  // inside it to the first of its next.
  logic [5:0] at_end, stepping;
  logic [4:0] at_start;
  logic advance, finished;
  logic [AW-1:0] difference;
  logic signed [15:0] difference_x, difference_y;
  logic [3:0] op;
  logic hold;
  assign op = header[3:0];
  assign hold = header[5];
  assign finished = &at_end;
  always_comb begin
    stepping[0] = !at_end[0];
    stepping[1] = !at_end[1] && at_end[0];
    stepping[2] = !at_end[2] && (&at_end[1:0]);
    stepping[3] = !at_end[3] && (&at_end[2:0]);
    stepping[4] = !at_end[4] && (&at_end[3:0]);
    stepping[5] = !at_end[5] && (&at_end[4:0]);
  end
  integer s;
  always_comb begin
    difference = '0;
    difference_x = '0;
    difference_y = '0;
    for (s = 0; s < 6; s++) begin
      difference = difference | (stepping[s] ? header[32*(9+2*s)+:AW] : '0);
      difference_x = difference_x
        | (stepping[s] ? 16'($signed({header[32*(9+2*s)+18+:7], header[32*(8+2*s)+16+:8]})) : 16'd0);
      difference_y = difference_y
        | (stepping[s] ? 16'($signed({header[32*(9+2*s)+25+:7], header[32*(8+2*s)+24+:8]})) : 16'd0);
    end
  end
  always_ff @(posedge clk) begin
    if (next_taken) begin
      addr <= next[32*4+:AW];
      x <= next[32*5+:16];
      y <= next[32*5+16+:16];
    end else if (advance) begin
      addr <= addr + difference;
      x <= x + difference_x;
      y <= y + difference_y;
    end
  end
  genvar i;
  generate
    for (i = 0; i < 6; i++) begin : g_loop
      logic [15:0] left;
      logic inner, resets, steps, ends, once;  // an outer loop steps; this one does; it has one iteration
      assign at_end[i] = ends;
      if (i == 0) assign inner = 1'b1;
      else assign inner = &at_end[i-1:0];
      assign steps = advance && stepping[i];
      assign resets = advance && inner && at_end[i] && !finished;
      always_ff @(posedge clk) begin
        if (next_taken) begin
          left <= next[32*(8+2*i)+:16];
          ends <= next[32*(8+2*i)+:16] == 0;
          once <= next[32*(8+2*i)+:16] == 0;
        end else if (steps) begin
          left <= left - 1'b1;
          ends <= left == 1;
        end else if (resets) begin
          left <= header[32*(8+2*i)+:16];
          ends <= once;
        end
      end
      if (i < 5) begin : g_start
        logic begins;
        assign at_start[i] = begins;
        always_ff @(posedge clk) begin
          if (next_taken || resets) begins <= 1'b1;
          else if (steps) begins <= 1'b0;
        end
      end
    end
  endgenerate

  // Where results of the vector unit go: differences of words, columns, rows
  logic [AW-1:0] out_difference;
  always_comb begin
    out_difference = '0;
    if (stepping[2]) out_difference = header[32*21+:AW];
    if (stepping[3]) out_difference = header[32*22+:AW];
    if (stepping[4]) out_difference = header[32*23+:AW];
  end
  always_ff @(posedge clk) begin
    if (next_taken) out_addr <= next[32*20+:AW];
    else if (advance) out_addr <= out_addr + out_difference;
  end

  // What has to be there before a pass begins
  logic conv, pass_start, pass_end, claimed, interval_over, enough, weights_missing;
  logic [2:0] since;
  assign conv = op == CONV;
  assign vector = op == VECTOR;
  assign pass_start = at_start[0] && at_start[1];
  assign pass_end = at_end[0] && at_end[1];
  assign block_start = valid && conv && pass_start && (&at_start[4:2]);
  assign block_end = valid && conv && pass_end && (&at_end[4:2]);
  assign weights_missing = (!hold || (&at_start[4:2])) && !(weights_ready && !claimed);
  assign interval_over = since == 0;
  assign enough = !pass_start || (!weights_missing && interval_over && (halves_free[half] || !(&at_start[4:2])));
  assign valid = running && (vector || enough);
  assign advance = valid;
  assign swap = valid && conv && pass_start && (!hold || (&at_start[4:2]));
  assign first = conv ? &at_start[4:2] : pass_start;
  assign last = conv ? &at_end[4:2] : pass_end;
  assign operand = !at_start[0];
  assign block_words = at_end[5] ? header[32+22+:2] : header[32+20+:2];
  assign waits_weights = (running && conv && pass_start && weights_missing) || (!running && !next_valid);
  assign waits_sums = (running && conv && !valid && !weights_missing) || (!running && next_valid && !next_taken);

  always_ff @(posedge clk) begin
    if (next_taken) header <= next;
    if (rst) begin
      running <= 1'b0;
      ended <= 1'b0;
      prior_vector <= 1'b0;
      half <= 1'b0;
      claimed <= 1'b0;
      since <= '0;
      slot <= '0;
      block_addr <= '0;
    end else begin
      ended <= next_taken && next_op != CONV && next_op != VECTOR;
      if (next_taken) begin
        running <= next_op == CONV || next_op == VECTOR;
        prior_vector <= next_op == VECTOR;
        block_addr <= next[32*20+:AW];
        slot <= '0;
      end else if (valid) begin
        if (finished) running <= 1'b0;
        slot <= pass_end ? '0 : slot + 1'b1;
        if (block_end) begin
          half <= !half;
          block_addr <= block_addr + header[32*24+:AW];
        end
      end
      if (valid && pass_start) since <= INTERVAL - 1'b1;
      else if (since != 0) since <= since - 1'b1;
      if (swap) claimed <= 1'b1;
      else if (weights_used) claimed <= 1'b0;
    end
  end
endmodule
