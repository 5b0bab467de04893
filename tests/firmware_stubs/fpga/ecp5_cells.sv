// Cells of an ECP5 for simulation, as far as ek_ulx3s_top uses them. The PLL's output is its input; its second output is
// the bench's `later`. Its parameters are checked: what is simulated is what they say.
/* verilator lint_off UNUSED */
/* verilator lint_off DECLFILENAME */
module EHXPLLL #(
    parameter int CLKI_DIV = 1, parameter int CLKFB_DIV = 1, parameter FEEDBK_PATH = "CLKOP",
    parameter CLKOP_ENABLE = "ENABLED", parameter int CLKOP_DIV = 8, parameter int CLKOP_CPHASE = 0,
    parameter int CLKOP_FPHASE = 0, parameter CLKOS_ENABLE = "DISABLED", parameter int CLKOS_DIV = 8,
    parameter int CLKOS_CPHASE = 0, parameter int CLKOS_FPHASE = 0
) (
    input logic CLKI, CLKFB, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, STDBY, PLLWAKESYNC, RST, ENCLKOP,
    ENCLKOS, ENCLKOS2, ENCLKOS3,
    output logic CLKOP, CLKOS, CLKOS2, CLKOS3, LOCK, INTLOCK, REFCLK, CLKINTFB
);
  localparam int KHZ = 25000 * CLKFB_DIV / CLKI_DIV;
  localparam int LATER = (CLKOS_CPHASE - CLKOP_CPHASE) * 8 + CLKOS_FPHASE - CLKOP_FPHASE;
  assign CLKOP = CLKI;
`ifdef EK_BOARD
  assign CLKOS = ulx3s_board.later;
  assign LOCK = ulx3s_board.rst_n;
  initial begin
    if (25000 / CLKI_DIV < 10000) $fatal(1, "PLL: %0d kHz are compared", 25000 / CLKI_DIV);
    if (KHZ != ulx3s_board.CLOCK_KHZ) $fatal(1, "PLL: %0d kHz", KHZ);
    if (KHZ * CLKOP_DIV < 400000 || KHZ * CLKOP_DIV > 800000) $fatal(1, "PLL: it runs at %0d kHz", KHZ * CLKOP_DIV);
    if (CLKOS_DIV != CLKOP_DIV || LATER * 4 != 3 * 8 * CLKOP_DIV) $fatal(1, "PLL: not three quarters of a cycle later");
  end
`else
  assign {CLKOS, LOCK} = {2{CLKI}};
`endif
  assign {CLKOS2, CLKOS3, INTLOCK, REFCLK, CLKINTFB} = '0;
endmodule

module ODDRX1F (input logic SCLK, RST, D0, D1, output logic Q);
  assign Q = SCLK ? D0 : D1;
endmodule

module OFS1P3DX (input logic SCLK, SP, CD, D, output logic Q);
  always_ff @(posedge SCLK) if (SP) Q <= D && !CD;
endmodule

module IFS1P3DX (input logic SCLK, SP, CD, D, output logic Q);
  always_ff @(posedge SCLK) if (SP) Q <= D && !CD;
endmodule

module BB (input logic I, T, output logic O, inout wire B);
  assign B = T ? 1'bz : I;
  assign O = B;
endmodule
