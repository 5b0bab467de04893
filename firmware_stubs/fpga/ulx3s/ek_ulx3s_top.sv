// The board ULX3S: the accelerator behind the serial line of the board's FTDI (ek_uart), its stream in the SDRAM.
//
// The clock is made of the board's 25 MHz, in steps of 12.5 MHz from 62.5 to 125 MHz. The SDRAM's clock comes three
// quarters of a cycle later: so commands are stable at its edges for half a cycle or more, and its words are stable
// around the edge at which they are taken. Registers at its pins are those of the I/O cells. FIRE1 resets.
module ek_ulx3s_top #(
    parameter int IC = 16,
    parameter int OC = 8,
    parameter int PACKED = 0,
    parameter int LANES = 4,
    parameter int ACT_KIB = 128,
    parameter int STREAM_KIB = 64,
    parameter int ACC_DEPTH = 512,
    parameter int MEM_BITS = 16,  // of the SDRAM
    parameter int LOG_DEPTH = 128,
    parameter int CLOCK_KHZ = 100000,
    parameter int BAUD = 1000000
) (
    input  logic        clk_25mhz,
    input  logic [1:1]  btn,
    output logic [7:0]  led,
    input  logic        ftdi_txd,
    output logic        ftdi_rxd,
    output logic        wifi_gpio0,
    output logic        sdram_clk,
    output logic        sdram_cke,
    output logic        sdram_csn,
    output logic        sdram_rasn,
    output logic        sdram_casn,
    output logic        sdram_wen,
    output logic [12:0] sdram_a,
    output logic [1:0]  sdram_ba,
    output logic [1:0]  sdram_dqm,
    inout  wire  [15:0] sdram_d
);
  localparam int STEPS = CLOCK_KHZ / 12500;
  localparam int DIVIDE = 48 / STEPS;  // of the oscillator, which so runs at 500 to 600 MHz
  localparam int LATER = 6 * DIVIDE;   // of the SDRAM's clock, in eighths of the oscillator's cycle
  localparam int MEM_AW = 21;          // 8 MiB by the serial line

  logic clk, clk_later, locked;
  logic [4:0] others;  // outputs that nothing uses
  (* FREQUENCY_PIN_CLKI = "25" *)
  (* ICP_CURRENT = "12" *) (* LPF_RESISTOR = "8" *) (* MFG_ENABLE_FILTEROPAMP = "1" *) (* MFG_GMCREF_SEL = "2" *)
  EHXPLLL #(
      .CLKI_DIV(2), .CLKFB_DIV(STEPS), .FEEDBK_PATH("CLKOP"),
      .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV(DIVIDE), .CLKOP_CPHASE(DIVIDE - 1), .CLKOP_FPHASE(0),
      .CLKOS_ENABLE("ENABLED"), .CLKOS_DIV(DIVIDE), .CLKOS_CPHASE(DIVIDE - 1 + LATER / 8), .CLKOS_FPHASE(LATER % 8)
  ) pll (
      .CLKI(clk_25mhz), .CLKFB(clk), .CLKOP(clk), .CLKOS(clk_later), .LOCK(locked),
      .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1),
      .STDBY(1'b0), .PLLWAKESYNC(1'b0), .RST(1'b0), .ENCLKOP(1'b0), .ENCLKOS(1'b0), .ENCLKOS2(1'b0), .ENCLKOS3(1'b0),
      .CLKOS2(others[0]), .CLKOS3(others[1]), .INTLOCK(others[2]), .REFCLK(others[3]), .CLKINTFB(others[4])
  );

  // The SDRAM is reset first, for a while after the clock is there; then the rest, until the SDRAM is ready and 64
  // cycles longer.
  logic [1:0] held;
  logic [7:0] resetting = '0;
  logic [6:0] waiting;
  logic rst_sdram, rst, ready;
  assign rst_sdram = !resetting[7];
  assign rst = !waiting[6];
  always_ff @(posedge clk) begin
    held <= {held[0], btn[1] || !locked};
    if (held[1]) resetting <= '0;
    else if (!resetting[7]) resetting <= resetting + 1'b1;
    if (rst_sdram || !ready) waiting <= '0;
    else if (!waiting[6]) waiting <= waiting + 1'b1;
  end

  logic awvalid, awready, wready, bvalid, arvalid, arready, rvalid, rready, memory_write, writing, tx, irq;
  logic [19:0] addr;
  logic [31:0] wdata, rdata;
  logic [MEM_AW-1:0] memory_addr;
  ek_uart #(.CYCLES((CLOCK_KHZ * 1000 + BAUD / 2) / BAUD), .MEM_AW(MEM_AW)) uart (
      .clk(clk), .rst(rst), .rx(ftdi_txd), .tx(tx),
      .awvalid(awvalid), .awready(awready), .addr(addr), .wready(wready), .wdata(wdata),
      .arvalid(arvalid), .arready(arready), .rvalid(rvalid), .rready(rready), .rdata(rdata),
      .memory_write(memory_write), .memory_addr(memory_addr)
  );
  logic host_valid, host_write, host_rvalid;
  logic [19:0] host_addr;
  logic [31:0] host_wdata, host_rdata;
  logic [1:0] bresp, rresp;
  ek_axil slave (
      .clk(clk), .rst(rst),
      .awvalid(awvalid), .awready(awready), .awaddr(addr), .wvalid(awvalid), .wready(wready), .wdata(wdata),
      .bvalid(bvalid), .bready(1'b1), .bresp(bresp),
      .arvalid(arvalid), .arready(arready), .araddr(addr),
      .rvalid(rvalid), .rready(rready), .rdata(rdata), .rresp(rresp),
      .host_valid(host_valid), .host_write(host_write), .host_addr(host_addr), .host_wdata(host_wdata),
      .host_rvalid(host_rvalid), .host_rdata(host_rdata)
  );
  logic arv, arr, rv, rr;
  logic [31:0] place;
  logic [MEM_BITS-1:0] beat;
  ek_overlay #(
      .IC(IC), .OC(OC), .PACKED(PACKED), .LANES(LANES), .ACT_KIB(ACT_KIB), .STREAM_KIB(STREAM_KIB), .ACC_DEPTH(ACC_DEPTH),
      .MEM_BITS(MEM_BITS), .LOG_DEPTH(LOG_DEPTH)
  ) overlay (
      .clk(clk), .rst(rst),
      .host_valid(host_valid), .host_write(host_write), .host_addr(host_addr), .host_wdata(host_wdata),
      .host_rvalid(host_rvalid), .host_rdata(host_rdata),
      .mem_arvalid(arv), .mem_arready(arr), .mem_araddr(place), .mem_rvalid(rv), .mem_rready(rr), .mem_rdata(beat),
      .irq(irq)
  );

  logic cke, drive;
  logic [2:0] command;
  logic [12:0] a;
  logic [1:0] ba, dqm;
  logic [15:0] out, in;
  ek_sdram #(.CLOCK_KHZ(CLOCK_KHZ), .WORD_AW(MEM_AW)) sdram (
      .clk(clk), .rst(rst_sdram), .ready(ready),
      .arvalid(arv), .arready(arr), .araddr(place), .rvalid(rv), .rready(rr), .rdata(beat),
      .write(memory_write), .write_addr(memory_addr), .write_data(wdata), .writing(writing),
      .cke(cke), .command(command), .a(a), .ba(ba), .dqm(dqm), .out(out), .drive(drive), .in(in)
  );
  assign sdram_csn = 1'b0;
  ODDRX1F later (.SCLK(clk_later), .RST(1'b0), .D0(1'b1), .D1(1'b0), .Q(sdram_clk));
  localparam int PINS = 1 + 3 + 13 + 2 + 2;
  logic [PINS-1:0] made, pins;
  assign made = {cke, command, a, ba, dqm};
  assign {sdram_cke, sdram_rasn, sdram_casn, sdram_wen, sdram_a, sdram_ba, sdram_dqm} = pins;
  generate
    for (genvar n = 0; n < PINS; n++) begin : g_pin
      OFS1P3DX register (.SCLK(clk), .SP(1'b1), .CD(1'b0), .D(made[n]), .Q(pins[n]));
    end
    for (genvar n = 0; n < 16; n++) begin : g_data
      logic to, from;
      OFS1P3DX goes (.SCLK(clk), .SP(1'b1), .CD(1'b0), .D(out[n]), .Q(to));
      IFS1P3DX comes (.SCLK(clk), .SP(1'b1), .CD(1'b0), .D(from), .Q(in[n]));
      BB pin (.I(to), .T(!drive), .O(from), .B(sdram_d[n]));
    end
  endgenerate

  assign ftdi_rxd = tx;
  assign wifi_gpio0 = 1'b1;  // holds back the board's ESP32
  assign led = {locked, ready, writing, !ftdi_txd, !tx, arv, rv, irq};
  logic unused;
  assign unused = &{1'b0, bvalid, bresp, rresp, others};
endmodule
