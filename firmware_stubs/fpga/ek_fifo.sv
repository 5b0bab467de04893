// A FIFO in EBR. The first word is at the output without being asked for; two registers hide the memory's latency.
module ek_fifo #(
    parameter int WIDTH = 64,
    parameter int DEPTH = 512,
    localparam int AW = $clog2(DEPTH)
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [WIDTH-1:0] in_data,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [WIDTH-1:0] out_data
);
  logic [AW:0] head, tail;  // one bit more than an address: full and empty differ
  logic [WIDTH-1:0] fetched;
  logic fetched_valid, moves, fetch;

  assign in_ready = (head ^ tail) != {1'b1, {AW{1'b0}}};
  assign moves = fetched_valid && (!out_valid || out_ready);
  assign fetch = head != tail && (!fetched_valid || moves);

  ek_ram #(.WIDTH(WIDTH), .DEPTH(DEPTH)) memory (
      .clk(clk),
      .write(in_valid && in_ready),
      .waddr(tail[AW-1:0]),
      .wdata(in_data),
      .read(fetch),
      .raddr(head[AW-1:0]),
      .rdata(fetched)
  );

  always_ff @(posedge clk) begin
    if (moves) out_data <= fetched;
    if (rst) begin
      head <= '0;
      tail <= '0;
      fetched_valid <= 1'b0;
      out_valid <= 1'b0;
    end else begin
      if (in_valid && in_ready) tail <= tail + 1'b1;
      if (fetch) head <= head + 1'b1;
      fetched_valid <= fetch || (fetched_valid && !moves);
      out_valid <= moves || (out_valid && !out_ready);
    end
  end

`ifdef EK_ASSERT
  always_ff @(posedge clk) if (!rst) begin
    assert ((tail - head) <= {1'b1, {AW{1'b0}}});
  end
`endif
endmodule
