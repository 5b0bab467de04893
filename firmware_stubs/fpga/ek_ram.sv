// A memory with one write port and one read port, whose output is a register: one or several EBRs. No word is read in the
// cycle in which it is written.
module ek_ram #(
    parameter int WIDTH = 32,
    parameter int DEPTH = 512,
    localparam int AW = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input  logic             clk,
    input  logic             write,
    input  logic [AW-1:0]    waddr,
    input  logic [WIDTH-1:0] wdata,
    input  logic             read,
    input  logic [AW-1:0]    raddr,
    output logic [WIDTH-1:0] rdata
);
  (* ram_style = "block", no_rw_check *) logic [WIDTH-1:0] mem[DEPTH];
  always_ff @(posedge clk) begin
    if (write) mem[waddr] <= wdata;
    if (read) rdata <= mem[raddr];
  end
endmodule
