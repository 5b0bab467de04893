// Two halves of OC x DEPTH sums of 32 bits: one takes the array's sums while the other is read for requantization.
module ek_accumulators #(
    parameter int OC = 8,
    parameter int DEPTH = 512,
    localparam int AW = $clog2(DEPTH)
) (
    input  logic             clk,
    // The array: two cycles after `slot` its sums arrive, which are added to what was there, or, if `first`, replace it.
    input  logic             valid,
    input  logic             half,
    input  logic [AW-1:0]    slot,
    input  logic             first,
    input  logic [OC*20-1:0] sums,
    // Requantization: `taken` follows two cycles after `taken_slot`.
    input  logic             taking,  // the half `taken_half`
    input  logic             taken_half,
    input  logic [AW-1:0]    taken_slot,
    output logic [OC*32-1:0] taken
);
  logic [2:0] valids, halves;
  logic [1:0] firsts;
  logic [3*AW-1:0] slots;
  logic [OC*32-1:0] held0, held1, new_sums;
  logic taken_half1;
  always_ff @(posedge clk) begin
    valids <= {valids[1:0], valid};
    halves <= {halves[1:0], half};
    firsts <= {firsts[0], first};
    slots <= {slots[2*AW-1:0], slot};
    taken_half1 <= taken_half;
    taken <= taken_half1 ? held1 : held0;
  end
  genvar j;
  generate
    for (j = 0; j < OC; j++) begin : g_lane
      logic signed [31:0] old, total;
      logic signed [19:0] sum;
      assign sum = sums[20*j+:20];
      always_ff @(posedge clk) begin
        old <= halves[0] ? held1[32*j+:32] : held0[32*j+:32];
        total <= (firsts[1] ? 32'sd0 : old) + 32'(sum);
      end
      assign new_sums[32*j+:32] = total;
    end
  endgenerate
  ek_ram #(.WIDTH(OC * 32), .DEPTH(DEPTH)) half0 (
      .clk(clk),
      .write(valids[2] && !halves[2]),
      .waddr(slots[2*AW+:AW]),
      .wdata(new_sums),
      .read(1'b1),
      .raddr(taking && !taken_half ? taken_slot : slot),
      .rdata(held0)
  );
  ek_ram #(.WIDTH(OC * 32), .DEPTH(DEPTH)) half1 (
      .clk(clk),
      .write(valids[2] && halves[2]),
      .waddr(slots[2*AW+:AW]),
      .wdata(new_sums),
      .read(1'b1),
      .raddr(taking && taken_half ? taken_slot : slot),
      .rdata(held1)
  );
endmodule
