// The activation memory: IC / 4 banks of words of four channels, of which IC / 4 words are read per cycle.
//
// Word k of a read lies at addr + k * step (step 1: channels of one pixel; a pixel's or row's distance, an odd number of
// words: neighbouring pixels), so the words of one read lie in different banks. A word whose pixel (x + k * step_x,
// y + k * step_y) is outside the feature map is the padding value instead. Latency: 6 cycles; a write takes two.
module ek_activations #(
    parameter int IC = 16,
    parameter int AW = 15,  // of a word's address
    parameter int WRITES = 1,  // words that are written per cycle, to different banks; with two a write takes three cycles
    localparam int NB = IC / 4
) (
    input  logic               clk,
    // Read
    input  logic [AW-1:0]      addr,
    input  logic signed [15:0] x,
    input  logic signed [15:0] y,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [AW-1:0]      step,    // not used where a read brings one word
    input  logic [AW-1:0]      triple,  // 3 * step
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic               step_x,
    input  logic               step_y,
    input  logic [15:0]        width,
    input  logic [15:0]        height,
    input  logic [7:0]         pad,
    output logic [IC*8-1:0]    words,
    // Write
    input  logic               write,
    input  logic [AW-1:0]      waddr,
    input  logic [31:0]        wdata,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic               write2,  // of the second word
    input  logic [AW-1:0]      waddr2,
    input  logic [31:0]        wdata2
    /* verilator lint_on UNUSEDSIGNAL */
);
  localparam int BB = $clog2(NB);  // bits of a bank's number
  logic [NB*AW-1:0] place;
  logic [NB-1:0] inside1, inside2, inside3, inside4, inside5;
  logic [NB*NB-1:0] match1, match2, match3, match4, match5;  // [bank][word]
  logic [NB*(AW-BB)-1:0] waddrs;  // of each bank
  logic [NB*32-1:0] wdatas;
  logic [NB-1:0] writes;
  logic [NB*32-1:0] read, read_then;
  genvar b, k;
  generate
    for (k = 0; k < NB; k++) begin : g_word
      logic [AW-1:0] at;
      logic signed [15:0] px, py;
      logic [AW-1:0] distance;
      logic [31:0] found;
      integer n;
      if (k == 0) assign distance = '0;
      else if (k == 1) assign distance = step;
      else if (k == 2) assign distance = {step[AW-2:0], 1'b0};
      else assign distance = triple;
      always_ff @(posedge clk) begin
        at <= addr + distance;
        px <= x + (step_x ? 16'(k) : 16'd0);
        py <= y + (step_y ? 16'(k) : 16'd0);
        inside2[k] <= inside1[k];
        inside3[k] <= inside2[k];
        inside4[k] <= inside3[k];
        inside5[k] <= inside4[k];
        words[32*k+:32] <= inside5[k] ? found : {4{pad}};
      end
      assign place[AW*k+:AW] = at;
      assign inside1[k] = !px[15] && !py[15] && $unsigned(px) < width && $unsigned(py) < height;
      always_comb begin
        found = '0;
        for (n = 0; n < NB; n++) found = found | (match5[n*NB+k] ? read_then[32*n+:32] : 32'd0);
      end
    end
    for (b = 0; b < NB; b++) begin : g_bank
      logic [AW-BB-1:0] at, at_then, select;  // a register on the way to the memory
      integer n;
      for (k = 0; k < NB; k++) begin : g_of
        if (NB == 1) assign match1[0] = 1'b1;
        else assign match1[b*NB+k] = place[AW*k+:BB] == BB'(b);
      end
      always_comb begin
        select = '0;
        for (n = 0; n < NB; n++) select = select | (match1[b*NB+n] ? place[AW*n+BB+:AW-BB] : '0);
      end
      always_ff @(posedge clk) begin
        at <= select;
        at_then <= at;
      end
      ek_ram #(.WIDTH(32), .DEPTH(1 << (AW - BB))) bank (
          .clk(clk),
          .write(writes[b]),
          .waddr(waddrs[b*(AW-BB)+:AW-BB]),
          .wdata(wdatas[32*b+:32]),
          .read(1'b1),
          .raddr(at_then),
          .rdata(read[32*b+:32])
      );
    end
  endgenerate
  always_ff @(posedge clk) begin
    match2 <= match1;
    match3 <= match2;
    match4 <= match3;
    match5 <= match4;
    read_then <= read;
  end
  generate
    if (WRITES == 1) begin : g_one_write
      logic [AW-BB-1:0] waddr_then;
      logic [31:0] wdata_then;
      assign waddrs = {NB{waddr_then}};
      assign wdatas = {NB{wdata_then}};
      always_ff @(posedge clk) begin
        waddr_then <= waddr[AW-1:BB];
        wdata_then <= wdata;
      end
      for (b = 0; b < NB; b++) begin : g_writes
        logic here;
        if (NB == 1) assign here = 1'b1;
        else assign here = waddr[BB-1:0] == BB'(b);
        always_ff @(posedge clk) writes[b] <= write && here;
      end
    end else begin : g_two_writes
      logic [AW-BB-1:0] waddr_then, waddr2_then;
      logic [31:0] wdata_then, wdata2_then;
      logic [NB-1:0] first, second;  // is the word for this bank?
      always_ff @(posedge clk) begin
        {waddr_then, waddr2_then} <= {waddr[AW-1:BB], waddr2[AW-1:BB]};
        {wdata_then, wdata2_then} <= {wdata, wdata2};
      end
      for (b = 0; b < NB; b++) begin : g_writes
        always_ff @(posedge clk) begin
          first[b] <= write && waddr[BB-1:0] == BB'(b);
          second[b] <= write2 && waddr2[BB-1:0] == BB'(b);
          writes[b] <= first[b] || second[b];
          waddrs[b*(AW-BB)+:AW-BB] <= second[b] ? waddr2_then : waddr_then;
          wdatas[32*b+:32] <= second[b] ? wdata2_then : wdata_then;
        end
      end
    end
  endgenerate
endmodule
