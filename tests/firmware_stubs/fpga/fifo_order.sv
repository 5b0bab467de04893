// Words leave ek_fifo in the order in which they came: two marked words, at places the solver chooses.
module fifo_order (
    input logic       clk,
    input logic       rst,
    input logic       in_valid,
    input logic [1:0] in_data,
    input logic       out_ready
);
  logic in_ready, out_valid;
  logic [1:0] out_data;
  ek_fifo #(.WIDTH(2), .DEPTH(8), .AHEAD(4)) fifo (
      .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
      .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data), .plenty()
  );
  // A model: sixteen places, more than the FIFO and its registers hold
  logic [1:0] model[16];
  logic [4:0] count;
  logic [3:0] first;
  integer i;
  always_ff @(posedge clk) begin
    if (rst) begin
      count <= '0;
      first <= '0;
    end else begin
      if (in_valid && in_ready) model[4'(first + count[3:0])] <= in_data;
      if (out_valid && out_ready) first <= first + 1'b1;
      count <= count + 5'(in_valid && in_ready) - 5'(out_valid && out_ready);
      assert (count <= 12);
      if (count == 0) assert (!out_valid);
      if (out_valid) assert (out_data == model[first]);
    end
  end
endmodule
