// A FIFO in EBR. The first word is at the output without being asked for. Every flag that decides is a register: words
// are read ahead into a small buffer, as many as it has room for, so that no path leads from the reader to the EBR.
module ek_fifo #(
    parameter int WIDTH = 64,
    parameter int DEPTH = 512,
    parameter int AHEAD = 16,  // words that are read ahead, a power of two; fewer cost throughput
    localparam int AW = $clog2(DEPTH),
    localparam int BW = $clog2(AHEAD)
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [WIDTH-1:0] in_data,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [WIDTH-1:0] out_data,
    output logic             plenty  // five more words follow the one at the output, each in the next cycle
);
  // Write: a cycle later; room is kept for what is on its way
  logic writes;
  logic [WIDTH-1:0] data;
  logic [AW-1:0] head, tail;
  logic [AW:0] used;
  // Read: `held` words were asked for and have not left; three cycles from the EBR to the output
  logic some, fetch, moves, taken;
  logic [1:0] fetches;
  logic [BW:0] held, kept;  // kept: in the buffer
  logic [BW-1:0] first, last;
  logic [WIDTH-1:0] fetched, buffered;
  assign fetch = some && !held[BW];
  assign taken = out_valid && out_ready;
  assign moves = first != last && (!out_valid || out_ready);

  ek_ram #(.WIDTH(WIDTH), .DEPTH(DEPTH)) memory (
      .clk(clk),
      .write(writes),
      .waddr(tail),
      .wdata(data),
      .read(1'b1),
      .raddr(head),
      .rdata(fetched)
  );
  logic [WIDTH-1:0] fetched_then;
  logic [WIDTH-1:0] buffer[AHEAD];
  assign buffered = buffer[first];
  always_ff @(posedge clk) begin
    fetched_then <= fetched;
    if (fetches[1]) buffer[last] <= fetched_then;
  end

  always_ff @(posedge clk) begin
    data <= in_data;
    if (moves) out_data <= buffered;
    if (rst) begin
      in_ready <= 1'b0;
      writes <= 1'b0;
      head <= '0;
      tail <= '0;
      used <= '0;
      some <= 1'b0;
      fetches <= '0;
      held <= '0;
      kept <= '0;
      plenty <= 1'b0;
      first <= '0;
      last <= '0;
      out_valid <= 1'b0;
    end else begin
      in_ready <= used <= (AW + 1)'(DEPTH - 4);
      writes <= in_valid && in_ready;
      if (writes) tail <= tail + 1'b1;
      if (fetch) head <= head + 1'b1;
      used <= used + (AW + 1)'(writes) - (AW + 1)'(fetch);
      some <= used > 1 || (used[0] && !fetch);
      fetches <= {fetches[0], fetch};
      held <= held + (BW + 1)'(fetch) - (BW + 1)'(taken);
      kept <= kept + (BW + 1)'(fetches[1]) - (BW + 1)'(moves);
      plenty <= kept > 5;
      if (fetches[1]) last <= last + 1'b1;
      if (moves) first <= first + 1'b1;
      out_valid <= moves || (out_valid && !out_ready);
    end
  end

`ifdef EK_ASSERT
  always_ff @(posedge clk) if (!rst) begin
    assert (used <= (AW + 1)'(DEPTH));
    assert (held <= (BW + 1)'(AHEAD));
  end
`endif
endmodule
