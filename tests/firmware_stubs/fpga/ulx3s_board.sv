// The board ULX3S in simulation: its FPGA, its SDRAM, its serial line.
module ulx3s_board #(
    parameter int IC = 4,
    parameter int OC = 4,
    parameter int PACKED = 1,
    parameter int ACT_KIB = 32,
    parameter int STREAM_KIB = 8,
    parameter int ACC_DEPTH = 512,
    parameter int LOG_DEPTH = 128,
    parameter int CLOCK_KHZ = 100000,
    parameter int CYCLES = 4  // of a bit
) (
    input  logic clk,
    input  logic later,   // clk, three quarters of a cycle later
    input  logic settle,  // the SDRAM's words are there
    input  logic rst_n,
    input  logic rx,
    output logic tx,
    output logic led
);
  logic [7:0] leds;
  logic sdram_clk, cke, csn, rasn, casn, wen, gpio0;
  logic [12:0] a;
  logic [1:0] ba, dqm;
  wire [15:0] d;
  assign led = leds[0];
  ek_ulx3s_top #(
      .IC(IC), .OC(OC), .PACKED(PACKED), .ACT_KIB(ACT_KIB), .STREAM_KIB(STREAM_KIB), .ACC_DEPTH(ACC_DEPTH),
      .LOG_DEPTH(LOG_DEPTH), .CLOCK_KHZ(CLOCK_KHZ), .BAUD(CLOCK_KHZ * 1000 / CYCLES)
  ) fpga (
      .clk_25mhz(clk), .btn(1'b0), .led(leds), .ftdi_txd(rx), .ftdi_rxd(tx), .wifi_gpio0(gpio0),
      .sdram_clk(sdram_clk), .sdram_cke(cke), .sdram_csn(csn), .sdram_rasn(rasn), .sdram_casn(casn), .sdram_wen(wen),
      .sdram_a(a), .sdram_ba(ba), .sdram_dqm(dqm), .sdram_d(d)
  );
  sdram_chip #(.CLOCK_KHZ(CLOCK_KHZ)) chip (
      .clk(sdram_clk), .settle(settle), .cke(cke), .csn(csn), .rasn(rasn), .casn(casn), .wen(wen), .a(a), .ba(ba),
      .dqm(dqm), .d(d)
  );
endmodule
