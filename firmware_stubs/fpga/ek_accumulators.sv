// Two halves of OC x DEPTH sums of 32 bits: one takes the array's sums while the other is read for requantization.
module ek_accumulators #(
    parameter int OC = 8,
    parameter int DEPTH = 512,
    localparam int AW = $clog2(DEPTH)
) (
    input  logic             clk,
    // The array: four cycles after `slot` its sums arrive, which are added to what was there, or, if `first`, replace
    // it. The sum of a slot is there five cycles after it.
    input  logic             valid,
    input  logic             half,
    input  logic [AW-1:0]    slot,
    input  logic             first,
    input  logic [OC*20-1:0] sums,
    // Requantization: `taken` follows four cycles after `taken_slot`.
    input  logic             taking,  // the half `taken_half`
    input  logic             taken_half,
    input  logic [AW-1:0]    taken_slot,
    output logic [OC*32-1:0] taken
);
  logic [4:0] valids, halves;
  logic [3:0] firsts;
  logic [5*AW-1:0] slots;
  logic [AW-1:0] read0, read1;  // registers on the way to the memories, and from them
  logic [OC*32-1:0] held0, held1, then0, then1, new_sums;
  logic [2:0] taken_halves;
  always_ff @(posedge clk) begin
    valids <= {valids[3:0], valid};
    halves <= {halves[3:0], half};
    firsts <= {firsts[2:0], first};
    slots <= {slots[4*AW-1:0], slot};
    read0 <= taking && !taken_half ? taken_slot : slot;
    read1 <= taking && taken_half ? taken_slot : slot;
    then0 <= held0;
    then1 <= held1;
    taken_halves <= {taken_halves[1:0], taken_half};
    taken <= taken_halves[2] ? then1 : then0;
  end
  genvar j;
  generate
    for (j = 0; j < OC; j++) begin : g_lane
      logic signed [31:0] old, total;
      logic signed [19:0] sum;
      assign sum = sums[20*j+:20];
      always_ff @(posedge clk) begin
        old <= halves[2] ? then1[32*j+:32] : then0[32*j+:32];
        total <= (firsts[3] ? 32'sd0 : old) + 32'(sum);
      end
      assign new_sums[32*j+:32] = total;
    end
  endgenerate
  ek_ram #(.WIDTH(OC * 32), .DEPTH(DEPTH)) half0 (
      .clk(clk),
      .write(valids[4] && !halves[4]),
      .waddr(slots[4*AW+:AW]),
      .wdata(new_sums),
      .read(1'b1),
      .raddr(read0),
      .rdata(held0)
  );
  ek_ram #(.WIDTH(OC * 32), .DEPTH(DEPTH)) half1 (
      .clk(clk),
      .write(valids[4] && halves[4]),
      .waddr(slots[4*AW+:AW]),
      .wdata(new_sums),
      .read(1'b1),
      .raddr(read1),
      .rdata(held1)
  );
endmodule
