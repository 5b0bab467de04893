// One requantization lane, TFLite's arithmetic bit for bit: a 31-bit multiplier and a shift, then zero point and limits.
//
// Rounds twice as gemmlowp does (`once` 0) or once, halves away from zero (`once` 1). One result per cycle, 11 cycles.
module ek_requantize (
    input  logic               clk,
    input  logic signed [31:0] sum,
    input  logic signed [31:0] bias,
    input  logic [30:0]        multiplier,
    input  logic [4:0]         left,
    input  logic [4:0]         right,
    input  logic               once,
    input  logic signed [7:0]  zero,   // these three 9 cycles later
    input  logic signed [7:0]  least,
    input  logic signed [7:0]  most,
    output logic signed [7:0]  result
);
  // 1: bias, 2: shift left
  logic signed [31:0] biased, x;
  logic [30:0] m1, m2;
  logic [4:0] left1, right1, right2, right3, right4, right5, right6, right7;
  logic once1, once2, once3, once4, once5;
  always_ff @(posedge clk) begin
    biased <= sum + bias;
    m1 <= multiplier;
    left1 <= left;
    x <= biased <<< left1;
    m2 <= m1;
    {right1, right2, right3, right4, right5, right6, right7} <= {
      right, right1, right2, right3, right4, right5, right6
    };
    {once1, once2, once3, once4, once5} <= {once, once1, once2, once3, once4};
  end
  // 3 to 5: a product of 32 x 31 bits of four products of 18 x 18 bits; the lowest is less than 2**34
  logic signed [17:0] x_low, x_high, m_low, m_high;
  /* verilator lint_off UNUSEDSIGNAL */
  logic signed [35:0] low_low, low_high, high_low, high_high;
  /* verilator lint_on UNUSEDSIGNAL */
  logic signed [29:0] high4;
  logic [33:0] low4;
  logic signed [36:0] middle;
  logic signed [63:0] product;
  assign x_low = {1'b0, x[16:0]};
  assign x_high = {{3{x[31]}}, x[31:17]};
  assign m_low = {1'b0, m2[16:0]};
  assign m_high = {4'b0, m2[30:17]};
  always_ff @(posedge clk) begin
    low_low <= x_low * m_low;
    low_high <= x_low * m_high;
    high_low <= x_high * m_low;
    high_high <= x_high * m_high;
    middle <= 37'(low_high) + 37'(high_low);
    low4 <= low_low[33:0];
    high4 <= high_high[29:0];
    product[63:17] <= $signed({high4, low4[33:17]}) + 47'(middle);
    product[16:0] <= low4[16:0];
  end
  // 6: is the product rounded up? Not if it is the shift to the right where it is rounded once.
  logic [31:0] upper6;
  logic more, sticky6;
  always_ff @(posedge clk) begin
    upper6 <= product[62:31];
    more <= product[30] && !(once5 && (right5 != 0 || (product[63] && product[29:0] == 0)));
    sticky6 <= once5 && product[30:0] != 0;
  end
  // 7: its upper bits
  logic [31:0] upper;
  logic sticky;
  always_ff @(posedge clk) begin
    upper <= upper6 + {31'b0, more};
    sticky <= sticky6;
  end
  // 8 and 9: shift to the right and round to nearest, halves away from zero
  logic signed [31:0] shifted8, shifted;
  logic [31:0] mask, below;
  logic half, negative, up;
  assign mask = ~(32'hffffffff << right7);
  always_ff @(posedge clk) begin
    shifted8 <= $signed(upper) >>> right7;
    half <= |(upper & mask & ~(mask >> 1));
    below <= upper & (mask >> 1);
    negative <= upper[31] && !sticky;
    shifted <= shifted8;
    up <= half && (!negative || below != 0);
  end
  // 10: zero point, 11: limits
  logic signed [32:0] shown;
  logic signed [7:0] least10, most10;
  logic carry;
  always_ff @(posedge clk) begin
    {shown, carry} <= {shifted[31], shifted, 1'b1} + {{25{zero[7]}}, zero, up};
    least10 <= least;
    most10 <= most;
    if (shown > 33'(most10)) result <= most10;
    else if (shown < 33'(least10)) result <= least10;
    else result <= shown[7:0];
  end
  logic unused;
  assign unused = carry;
endmodule
