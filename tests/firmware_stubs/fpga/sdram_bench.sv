// ek_sdram and the chip, with registers at the pins as those of I/O cells.
module sdram_bench #(
    parameter int CLOCK_KHZ = 100000
) (
    input  logic        clk,
    input  logic        later,
    input  logic        settle,
    input  logic        rst,
    output logic        ready,
    input  logic        arvalid,
    output logic        arready,
    input  logic [31:0] araddr,
    output logic        rvalid,
    input  logic        rready,
    output logic [15:0] rdata,
    input  logic        write,
    input  logic [20:0] write_addr,
    input  logic [31:0] write_data,
    output logic        writing
);
  logic cke, drive;
  logic [2:0] command;
  logic [12:0] a;
  logic [1:0] ba, dqm;
  logic [15:0] out, in;
  ek_sdram #(.CLOCK_KHZ(CLOCK_KHZ)) sdram (
      .clk(clk), .rst(rst), .ready(ready), .arvalid(arvalid), .arready(arready), .araddr(araddr), .rvalid(rvalid),
      .rready(rready), .rdata(rdata), .write(write), .write_addr(write_addr), .write_data(write_data),
      .writing(writing), .cke(cke), .command(command), .a(a), .ba(ba), .dqm(dqm), .out(out), .drive(drive), .in(in)
  );
  logic pin_cke;
  logic [2:0] pin_command;
  logic [12:0] pin_a;
  logic [1:0] pin_ba, pin_dqm;
  logic [15:0] pin_out;
  wire [15:0] d;
  assign d = drive ? pin_out : 16'hzzzz;
  always_ff @(posedge clk) begin
    {pin_cke, pin_command, pin_a, pin_ba, pin_dqm, pin_out} <= {cke, command, a, ba, dqm, out};
    in <= d;
  end
  sdram_chip #(.CLOCK_KHZ(CLOCK_KHZ)) chip (
      .clk(later), .settle(settle), .cke(pin_cke), .csn(1'b0), .rasn(pin_command[2]), .casn(pin_command[1]),
      .wen(pin_command[0]), .a(pin_a), .ba(pin_ba), .dqm(pin_dqm), .d(d)
  );
endmodule
