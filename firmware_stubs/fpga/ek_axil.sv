// An AXI4-Lite slave in front of the accelerator's host bus: one write and one read at a time, always OKAY.
module ek_axil (
    input  logic        clk,
    input  logic        rst,
    input  logic        awvalid,
    output logic        awready,
    input  logic [19:0] awaddr,
    input  logic        wvalid,
    output logic        wready,
    input  logic [31:0] wdata,
    output logic        bvalid,
    input  logic        bready,
    output logic [1:0]  bresp,
    input  logic        arvalid,
    output logic        arready,
    input  logic [19:0] araddr,
    output logic        rvalid,
    input  logic        rready,
    output logic [31:0] rdata,
    output logic [1:0]  rresp,
    // The host bus of ek_overlay
    output logic        host_valid,
    output logic        host_write,
    output logic [19:0] host_addr,
    output logic [31:0] host_wdata,
    input  logic        host_rvalid,
    input  logic [31:0] host_rdata
);
  // Address and data of a write are taken together; a read waits for the answer before the next request.
  logic reading, writes, reads;
  assign bresp = 2'b00;
  assign rresp = 2'b00;
  assign writes = awvalid && wvalid && !bvalid && !reading && !rvalid;
  assign reads = arvalid && !writes && !reading && !rvalid && !bvalid;
  assign awready = writes;
  assign wready = writes;
  assign arready = reads;
  always_ff @(posedge clk) begin
    host_write <= writes;
    host_addr <= writes ? awaddr : araddr;
    host_wdata <= wdata;
    if (host_rvalid) rdata <= host_rdata;
    if (rst) begin
      host_valid <= 1'b0;
      bvalid <= 1'b0;
      rvalid <= 1'b0;
      reading <= 1'b0;
    end else begin
      host_valid <= writes || reads;
      if (writes) bvalid <= 1'b1;
      else if (bready) bvalid <= 1'b0;
      if (reads) reading <= 1'b1;
      else if (host_rvalid) reading <= 1'b0;
      if (reading && host_rvalid) rvalid <= 1'b1;
      else if (rready) rvalid <= 1'b0;
    end
  end
endmodule
