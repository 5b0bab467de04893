// A bare board: the accelerator behind a serial line (ek_uart), its stream in a memory on the chip.
module ek_uart_top #(
    parameter int IC = 4,
    parameter int OC = 4,
    parameter int PACKED = 1,
    parameter int LANES = 4,
    parameter int ACT_KIB = 32,
    parameter int STREAM_KIB = 8,
    parameter int ACC_DEPTH = 512,
    parameter int LOG_DEPTH = 128,
    parameter int MEMORY_KIB = 32,
    parameter int CYCLES = 868  // of a bit: 115200 baud at 100 MHz
) (
    input  logic clk,
    input  logic rst_n,
    input  logic rx,
    output logic tx,
    output logic led
);
  localparam int MEM_AW = $clog2(MEMORY_KIB) + 8;
  // Reset is held for 64 cycles after the pin's: results on their way have left the pipeline by then.
  logic [6:0] resetting;
  logic rst;
  assign rst = !resetting[6];
  always_ff @(posedge clk) begin
    if (!rst_n) resetting <= '0;
    else if (!resetting[6]) resetting <= resetting + 1'b1;
  end

  logic awvalid, awready, wready, bvalid, arvalid, arready, rvalid, rready, memory_write;
  logic [19:0] addr;
  logic [31:0] wdata, rdata;
  logic [MEM_AW-1:0] memory_addr;
  ek_uart #(.CYCLES(CYCLES), .MEM_AW(MEM_AW)) uart (
      .clk(clk), .rst(rst), .rx(rx), .tx(tx),
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

  // The stream's memory answers a request in the next cycle, and keeps the answer until it is taken.
  logic arv, arr, rv, rr;
  logic [31:0] place, word;
  assign arr = !rv || rr;
  ek_ram #(.WIDTH(32), .DEPTH(MEMORY_KIB * 256)) memory (
      .clk(clk), .write(memory_write), .waddr(memory_addr), .wdata(wdata),
      .read(arv && arr), .raddr(place[MEM_AW+1:2]), .rdata(word)
  );
  always_ff @(posedge clk) begin
    if (rst) rv <= 1'b0;
    else if (arr) rv <= arv;
  end
  ek_overlay #(
      .IC(IC), .OC(OC), .PACKED(PACKED), .LANES(LANES), .ACT_KIB(ACT_KIB), .STREAM_KIB(STREAM_KIB), .ACC_DEPTH(ACC_DEPTH),
      .MEM_BITS(32), .LOG_DEPTH(LOG_DEPTH)
  ) overlay (
      .clk(clk), .rst(rst),
      .host_valid(host_valid), .host_write(host_write), .host_addr(host_addr), .host_wdata(host_wdata),
      .host_rvalid(host_rvalid), .host_rdata(host_rdata),
      .mem_arvalid(arv), .mem_arready(arr), .mem_araddr(place), .mem_rvalid(rv), .mem_rready(rr), .mem_rdata(word),
      .irq(led)
  );
  logic unused;
  assign unused = &{1'b0, bvalid, bresp, rresp, place};
endmodule
