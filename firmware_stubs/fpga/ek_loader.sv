// Takes the stream apart: a command's header, then, in the order in which they are used, tables of the vector unit, or
// for every block of output channels the parameters of requantization and the weights of every pass.
//
// The next header is read while the command before it still runs. What is put somewhere is in `data`, the stream a cycle
// later, with what says where.
module ek_loader #(
    parameter int IC = 16,
    parameter int OC = 8,
    localparam int WORD = OC * 8,
    localparam int HEADER = 28 * 32,
    localparam int RW = $clog2(IC)
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              stream_valid,
    output logic              stream_ready,
    input  logic [WORD-1:0]   stream,
    input  logic              plenty,           // the next five words come without a pause
    // Header
    output logic [HEADER-1:0] header,
    output logic              header_valid,
    input  logic              header_taken,
    // Parameters of requantization, two sets
    input  logic [1:0]        parameters_free,
    output logic              parameter_valid,
    output logic              parameter_set,
    output logic [3:0]        parameter_byte,
    output logic [WORD-1:0]   data,             // of parameters and weights
    // Weights
    input  logic              weights_used,
    output logic              weights_ready,    // all are there before a swap that is decided now
    output logic [IC-1:0]     weight_rows,      // that `data` is for
    output logic              weight_diagonal,  // four rows at once, each of every fourth column
    // Tables
    input  logic              idle,
    output logic              table_valid,
    output logic [8:0]        table_at,
    output logic [31:0]       table_data
);
  localparam int HEADER_WORDS = HEADER / WORD;
  localparam int PARAMETER_WORDS = 10;
  localparam int PARTS = WORD / 32;
  typedef enum logic [2:0] {HEAD, PARAMETERS, WEIGHTS, TABLES, ENDED, SEEN} state_t;
  state_t state;
  logic begun, head_put, set;  // begun: the header was looked at
  logic full;                  // a pass's weights wait for their swap
  logic [4:0] word;
  logic [15:0] block, pass_ic, pass_x, pass_y;
  logic [8:0] entry;
  logic open, last;  // the stream is taken; this is the last word of header, parameters or a pass's weights
  logic taken, table_next, part_last;

  // Fields of the header
  logic [3:0] op;
  logic hold;
  logic [1:0] tables;
  logic [15:0] most_ic, most_x, most_y, most_block;
  assign op = header[3:0];
  assign hold = header[5];
  assign tables = header[11:10];
  assign most_ic = header[32*(8+2*2)+:16];
  assign most_x = header[32*(8+2*3)+:16];
  assign most_y = header[32*(8+2*4)+:16];
  assign most_block = header[32*(8+2*5)+:16];

  // Both flags are registers; where the stream is not taken for a cycle, `last` is found again.
  // A swap reaches the array so late that the last five rows may still be on their way when it is decided.
  logic [4:0] most_word, step, early_word;
  assign early_word = weight_diagonal || IC == 4 ? 5'd0 : 5'(IC - 6);
  always_comb begin
    case (state)
      HEAD: most_word = 5'(HEADER_WORDS - 1);
      PARAMETERS: most_word = 5'(PARAMETER_WORDS - 1);
      default: most_word = weight_diagonal ? 5'(IC - 4) : 5'(IC - 1);
    endcase
  end
  assign step = state == WEIGHTS && weight_diagonal ? 5'd4 : 5'd1;
  always_ff @(posedge clk) last <= !rst && (taken ? !last && word + step == most_word : word == most_word);
  assign weight_diagonal = header[12];
  // Known some cycles after a pass's weights; they wait longer for their swap.
  logic ic_last, x_last, y_last, block_last, more, pass_done, block_done;
  always_ff @(posedge clk) begin
    ic_last <= pass_ic == most_ic;
    x_last <= pass_x == most_x;
    y_last <= pass_y == most_y;
    block_last <= block == most_block;
    more <= !hold && !(ic_last && x_last && y_last);
  end
  assign part_last = (entry & 9'(PARTS - 1)) == 9'(PARTS - 1);
  assign stream_ready = open && (state != TABLES || part_last);
  assign table_next = state == TABLES && stream_valid && open;
  assign taken = stream_valid && stream_ready;
  logic [31:0] part;
  generate
    if (PARTS == 1) begin : g_entry
      assign part = stream;
    end else begin : g_entries
      assign part = stream[32*entry[$clog2(PARTS)-1:0]+:32];
    end
  endgenerate
  integer r;
  always_ff @(posedge clk) begin
    data <= stream;
    head_put <= state == HEAD && taken;
    parameter_valid <= state == PARAMETERS && taken;
    parameter_set <= set;
    parameter_byte <= word[3:0];
    for (r = 0; r < IC; r++)
      weight_rows[r] <= state == WEIGHTS && taken
                     && word[RW-1:0] == (weight_diagonal ? RW'(r & ~3) : RW'(r));
    table_valid <= table_next;
    table_at <= entry;
    table_data <= part;
  end

  always_ff @(posedge clk) begin
    if (head_put) header <= {data, header[HEADER-1:WORD]};
    if (rst) begin
      state <= HEAD;
      begun <= 1'b0;
      word <= '0;
      entry <= '0;
      block <= '0;
      pass_ic <= '0;
      pass_x <= '0;
      pass_y <= '0;
      header_valid <= 1'b0;
      weights_ready <= 1'b0;
      full <= 1'b0;
      {pass_done, block_done} <= '0;
      set <= 1'b0;
      open <= 1'b0;
    end else begin
      if (header_taken) header_valid <= 1'b0;
      if (weights_used) {weights_ready, full} <= '0;
      case (state)
        HEAD: open <= !(taken && last);
        PARAMETERS: open <= !(taken && last) && parameters_free[set];
        WEIGHTS: open <= !(taken && last) && (!full || weights_used);
        TABLES: open <= idle && !(table_next && entry[7:0] == 8'hff);
        default: open <= 1'b0;
      endcase
      pass_done <= state == WEIGHTS && taken && last && more;
      block_done <= state == WEIGHTS && taken && last && !more;
      if (pass_done) begin
        pass_ic <= ic_last ? 16'd0 : pass_ic + 1'b1;
        if (ic_last) pass_x <= x_last ? 16'd0 : pass_x + 1'b1;
        if (ic_last && x_last) pass_y <= pass_y + 1'b1;
      end
      if (block_done) begin
        {pass_ic, pass_x, pass_y} <= '0;
        block <= block_last ? 16'd0 : block + 1'b1;
      end
      case (state)
        HEAD:
        if (taken) begin
          word <= last ? 5'd0 : word + 1'b1;
          if (last) state <= SEEN;  // two cycles later the header is there
        end
        PARAMETERS:
        if (taken) begin
          word <= last ? 5'd0 : word + 1'b1;
          if (last) begin
            state <= WEIGHTS;
            set <= !set;
          end
        end
        WEIGHTS:
        if (taken) begin
          word <= last ? 5'd0 : word + step;
          if (plenty && word == early_word) weights_ready <= 1'b1;
          if (last) begin
            weights_ready <= 1'b1;
            full <= 1'b1;
            if (!more) state <= block_last ? ENDED : PARAMETERS;
          end
        end
        TABLES:
        if (table_next) begin
          entry <= entry + 1'b1;
          if (entry == {tables[1], 8'hff}) begin
            entry <= '0;
            state <= ENDED;
            header_valid <= 1'b1;
          end
        end
        SEEN: state <= ENDED;
        default: ;
      endcase
      if (state == ENDED) begin
        if (!begun) begin
          begun <= 1'b1;
          if (op == 4'd1) begin
            state <= PARAMETERS;
            header_valid <= 1'b1;
          end else if (op == 4'd2 && tables != 0) state <= TABLES;
          else header_valid <= 1'b1;
        end else if (!header_valid) begin
          state <= HEAD;
          begun <= 1'b0;
        end
      end
    end
  end
endmodule
