// The accelerator with few pins, for measuring its size and clock: wide ports are shifted in and out.
module ek_pins #(
    parameter int IC = 16,
    parameter int OC = 8,
    parameter int PACKED = 0,
    parameter int LANES = 4,
    parameter int ACT_KIB = 128,
    parameter int STREAM_KIB = 64,
    parameter int ACC_DEPTH = 512,
    parameter int MEM_BITS = 32,
    parameter int LOG_DEPTH = 128
) (
    input  logic clk,
    input  logic rst,
    input  logic in,     // a bit of what goes in
    input  logic apply,  // all that was shifted in takes effect
    input  logic take,   // all that comes out is kept, to be shifted out
    output logic out
);
  localparam int IN = 2 + 20 + 32 + 2 + MEM_BITS;
  localparam int OUT = 1 + 32 + 1 + 32 + 2;
  logic [IN-1:0] shifted, applied;
  logic [OUT-1:0] kept, made, made_then;
  logic in1, apply1, take1, rst1;
  always_ff @(posedge clk) begin
    {in1, apply1, take1, rst1} <= {in, apply, take, rst};
    shifted <= {shifted[IN-2:0], in1};
    applied <= apply1 ? shifted : '0;
    made_then <= made;
    kept <= take1 ? made_then : {1'b0, kept[OUT-1:1]};
    out <= kept[0];
  end
  ek_overlay #(
      .IC(IC), .OC(OC), .PACKED(PACKED), .LANES(LANES), .ACT_KIB(ACT_KIB), .STREAM_KIB(STREAM_KIB), .ACC_DEPTH(ACC_DEPTH),
      .MEM_BITS(MEM_BITS), .LOG_DEPTH(LOG_DEPTH)
  ) overlay (
      .clk(clk),
      .rst(rst1),
      .host_valid(applied[0]),
      .host_write(applied[1]),
      .host_addr(applied[21:2]),
      .host_wdata(applied[53:22]),
      .host_rvalid(made[0]),
      .host_rdata(made[32:1]),
      .mem_arvalid(made[33]),
      .mem_arready(applied[54]),
      .mem_araddr(made[65:34]),
      .mem_rvalid(applied[55]),
      .mem_rready(made[66]),
      .mem_rdata(applied[56+:MEM_BITS]),
      .irq(made[67])
  );
endmodule
