// Reads the stream of commands, parameters and weights from memory ahead of its use, as far as the FIFO has room.
module ek_stream #(
    parameter int WORD = 64,      // bits of a word of the stream
    parameter int DEPTH = 8192,   // words of the FIFO
    parameter int MEM_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                start,
    input  logic [31:0]         base,
    input  logic [31:0]         beats,
    output logic                mem_arvalid,
    input  logic                mem_arready,
    output logic [31:0]         mem_araddr,
    input  logic                mem_rvalid,
    output logic                mem_rready,
    input  logic [MEM_BITS-1:0] mem_rdata,
    output logic                out_valid,
    input  logic                out_ready,
    output logic [WORD-1:0]     out_data,
    output logic                plenty  // five more words are there
);
  localparam int UNIT = MEM_BITS < WORD ? MEM_BITS : WORD;
  localparam int BEAT_UNITS = MEM_BITS / UNIT;
  localparam int WORD_UNITS = WORD / UNIT;
  localparam int ROOM = DEPTH * WORD_UNITS;
  localparam int RW = $clog2(ROOM) + 1;

  // Requests: a beat is asked for only if there is room for it, so answers are never held up for long.
  logic [31:0] left;
  logic [RW-1:0] reserved;
  logic asked, taken;  // taken: in the cycle before
  assign asked = mem_arvalid && mem_arready;
  always_ff @(posedge clk) taken <= out_valid && out_ready && !rst && !start;
  // Both flags are of the cycle before; room is kept for what was asked for since.
  logic more, room;
  assign mem_arvalid = more && room;
  logic [RW-1:0] change;
  assign change = (asked ? RW'(BEAT_UNITS) : '0) - (taken ? RW'(WORD_UNITS) : '0);
  always_ff @(posedge clk) begin
    if (rst) begin
      left <= '0;
      reserved <= '0;
      mem_araddr <= '0;
      more <= 1'b0;
      room <= 1'b0;
    end else if (start) begin
      more <= beats != 0;
      room <= 1'b1;
      left <= beats;
      mem_araddr <= base;
      reserved <= '0;
    end else begin
      room <= reserved <= RW'(ROOM - 2 * BEAT_UNITS);
      if (asked) begin
        more <= left != 1;
        left <= left - 1'b1;
        mem_araddr <= mem_araddr + 32'(MEM_BITS / 8);
      end
      reserved <= reserved + change;
    end
  end

  // Answers: beats become words.
  logic word_valid, word_ready;
  logic [WORD-1:0] word;
  generate
    if (MEM_BITS < WORD) begin : g_join
      localparam int CW = $clog2(WORD_UNITS);
      logic [WORD-MEM_BITS-1:0] parts;
      logic [CW-1:0] count;
      assign word = {mem_rdata, parts};
      assign word_valid = mem_rvalid && count == CW'(WORD_UNITS - 1);
      assign mem_rready = word_ready || count != CW'(WORD_UNITS - 1);
      always_ff @(posedge clk) begin
        if (mem_rvalid && mem_rready) parts <= word[WORD-1:MEM_BITS];
        if (rst || start) count <= '0;
        else if (mem_rvalid && mem_rready) count <= count + 1'b1;
      end
    end else if (MEM_BITS > WORD) begin : g_split
      localparam int CW = $clog2(BEAT_UNITS);
      logic [CW-1:0] count;
      assign word = mem_rdata[32'(count)*WORD+:WORD];
      assign word_valid = mem_rvalid;
      assign mem_rready = word_ready && count == CW'(BEAT_UNITS - 1);
      always_ff @(posedge clk) begin
        if (rst || start) count <= '0;
        else if (mem_rvalid && word_ready) count <= count + 1'b1;
      end
    end else begin : g_same
      assign word = mem_rdata;
      assign word_valid = mem_rvalid;
      assign mem_rready = word_ready;
    end
  endgenerate

  ek_fifo #(.WIDTH(WORD), .DEPTH(DEPTH)) fifo (
      .clk(clk),
      .rst(rst),
      .in_valid(word_valid),
      .in_ready(word_ready),
      .in_data(word),
      .out_valid(out_valid),
      .out_ready(out_ready),
      .out_data(out_data),
      .plenty(plenty)
  );
endmodule
