// Reads finished blocks of sums out of the accumulators, each slot's words of four channels one after the other; with
// eight lanes two at a time, if the command says so.
module ek_drain #(
    parameter int AW = 15,
    parameter int SLOTS = 512,
    parameter int WORDS = 2,  // of a slot, at most
    parameter int LANES = 4,
    localparam int SW = $clog2(SLOTS)
) (
    input  logic              clk,
    input  logic              rst,
    // A block begins: where its results go
    input  logic              block_start,
    input  logic              block_half,
    input  logic [AW-1:0]     block_addr,
    input  logic [1:0]        block_words,  // per slot, less 1
    input  logic [15:0]       columns,      // less 1
    input  logic [15:0]       rows,         // less 1
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic              twos,         // two words at a time, which lie in different banks
    input  logic [AW-1:0]     pair_step,    // from an odd word to the one after it
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic [AW-1:0]     word_step,    // from an even word to the one after it
    input  logic [AW-1:0]     column_step,
    input  logic [AW-1:0]     row_step,
    input  logic [24:0]       epilogue,     // most, least, zero point, once
    // Its last sum is in the accumulators
    input  logic              sums_done,
    input  logic              sums_half,
    output logic [1:0]        halves_free,
    output logic              released,     // parameters and sums of this half are used up
    output logic              released_half,
    output logic              busy,
    // The read: the slot now, the rest with it
    output logic              valid,
    output logic              half,
    output logic [SW-1:0]     slot,
    output logic [1:0]        word,
    output logic [AW-1:0]     addr,
    output logic              beside,       // the word after it as well, whose address is larger by
    output logic [AW-1:0]     beside_step,
    output logic [24:0]       shown
);
  localparam int DW = AW + 2 + 32 + 3 * AW + 25 + 3;
  logic [1:0] begun, done;
  logic [DW-1:0] descriptions[2];
  logic [DW-1:0] now;
  logic [AW-1:0] base, step_word, step_column, step_row, row_at, column_at;
  logic [1:0] words;
  logic [15:0] most_column, most_row, columns_left, rows_left;
  logic active, loads, last, word_last, column_last, row_last, one_word, one_column, one_row;
  logic [2:0] releasing, releasing_half;
  logic [AW-1:0] more;  // from this word to the next
  logic [1:0] next_word;
  logic next_last, only_word;
  assign beside_step = step_word;
  assign {base, words, most_column, most_row, step_word, step_column, step_row, shown, one_word, one_column, one_row} = now;
  assign halves_free = ~begun;
  assign valid = active;
  // Flags are a register each: of the values that come next.
  assign last = word_last && column_last && row_last;
  assign released = releasing[2];
  assign released_half = releasing_half[2];
  assign busy = |begun;

  always_ff @(posedge clk) begin
    if (block_start)
      descriptions[block_half] <= {
        block_addr, block_words, columns, rows, word_step, column_step, row_step, epilogue,
        only_word, columns == 0, rows == 0
      };
    releasing_half <= {releasing_half[1:0], half};
    if (rst) begin
      begun <= '0;
      done <= '0;
      active <= 1'b0;
      loads <= 1'b0;
      half <= 1'b0;
      releasing <= '0;
      slot <= '0;
      word <= '0;
      columns_left <= '0;
      rows_left <= '0;
      addr <= '0;
      row_at <= '0;
      column_at <= '0;
      now <= '0;
      word_last <= 1'b0;
      column_last <= 1'b0;
      row_last <= 1'b0;
    end else begin
      releasing <= {releasing[1:0], active && last};
      if (block_start) begun[block_half] <= 1'b1;
      if (released) begun[released_half] <= 1'b0;
      if (sums_done) done[sums_half] <= 1'b1;
      loads <= !loads && (active ? last && done[!half] : done[half]);
      if (loads) done[half] <= 1'b0;
      if (loads) active <= 1'b1;
      else if (last) active <= 1'b0;
      if (active && last) half <= !half;
      // Between blocks the rest moves, too, to no effect.
      if (loads) begin
        now <= descriptions[half];
        {addr, row_at, column_at} <= {3{descriptions[half][DW-1-:AW]}};
        slot <= '0;
        word <= '0;
        columns_left <= descriptions[half][DW-3-AW-:16];
        rows_left <= descriptions[half][DW-19-AW-:16];
        {word_last, column_last, row_last} <= descriptions[half][2:0];
      end else if (!word_last) begin
        word <= next_word;
        word_last <= next_last;
        addr <= addr + more;
      end else begin
        word <= '0;
        word_last <= one_word;
        slot <= slot + 1'b1;
        if (!column_last) begin
          columns_left <= columns_left - 1'b1;
          column_last <= columns_left == 1;
          addr <= column_at + step_column;
          column_at <= column_at + step_column;
        end else begin
          columns_left <= most_column;
          column_last <= one_column;
          rows_left <= rows_left - 1'b1;
          row_last <= rows_left == 1;
          addr <= row_at + step_row;
          row_at <= row_at + step_row;
          column_at <= row_at + step_row;
        end
      end
    end
  end
  generate
    if (WORDS > 2) begin : g_four_words
      logic by_two;
      logic [1:0] by_twos;
      logic [AW-1:0] evens[2], odds[2];
      logic [AW-1:0] even, odd;
      assign by_two = LANES == 8 && twos;
      assign only_word = by_two ? !block_words[1] : block_words == 0;
      assign next_word = paired ? 2'd2 : word + 1'b1;
      assign next_last = paired || word + 1'b1 == words;
      logic paired;
      assign beside = active && paired && (!word_last || words[0]);
      always_ff @(posedge clk) begin
        if (block_start) begin
          by_twos[block_half] <= by_two;
          evens[block_half] <= by_two ? word_step + pair_step : word_step;
          odds[block_half] <= pair_step;
        end
        if (loads) begin
          paired <= by_twos[half];
          even <= evens[half];
          odd <= odds[half];
          more <= evens[half];
        end else more <= !word_last && next_word[0] ? odd : even;
      end
    end else begin : g_two_words
      assign only_word = LANES == 8 && twos ? 1'b1 : block_words == 0;
      assign next_word = word + 1'b1;
      assign next_last = word + 1'b1 == words;
      assign more = step_word;
      if (LANES == 8) begin : g_beside
        logic [1:0] by_twos;
        logic paired;
        assign beside = active && paired && words[0];
        always_ff @(posedge clk) begin
          if (block_start) by_twos[block_half] <= twos;
          if (loads) paired <= by_twos[half];
        end
      end else begin : g_alone
        assign beside = 1'b0;
      end
    end
  endgenerate
  logic unused;
  assign unused = &{1'b0, base, most_row, one_row};
endmodule
