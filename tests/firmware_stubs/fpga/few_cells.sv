// In the accelerator's place: the same ports, few cells. It reads what the host asks for from memory.
module ek_overlay #(
    parameter int IC = 16,
    parameter int OC = 8,
    parameter int PACKED = 0,
    parameter int LANES = 4,
    parameter int ACT_KIB = 128,
    parameter int STREAM_KIB = 64,
    parameter int ACC_DEPTH = 512,
    parameter int MEM_BITS = 16,
    parameter int LOG_DEPTH = 128
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                host_valid,
    input  logic                host_write,
    input  logic [19:0]         host_addr,
    input  logic [31:0]         host_wdata,
    output logic                host_rvalid,
    output logic [31:0]         host_rdata,
    output logic                mem_arvalid,
    input  logic                mem_arready,
    output logic [31:0]         mem_araddr,
    input  logic                mem_rvalid,
    output logic                mem_rready,
    input  logic [MEM_BITS-1:0] mem_rdata,
    output logic                irq
);
  assign mem_rready = 1'b1;
  always_ff @(posedge clk) begin
    host_rvalid <= mem_rvalid;
    host_rdata <= 32'(mem_rdata);
    irq <= mem_rvalid;
    if (rst) mem_arvalid <= 1'b0;
    else if (host_valid && !host_write) mem_arvalid <= 1'b1;
    else if (mem_arready) mem_arvalid <= 1'b0;
    if (host_valid) mem_araddr <= host_write ? host_wdata : 32'(host_addr);
  end
endmodule
