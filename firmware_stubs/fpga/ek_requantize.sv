// One requantization lane, TFLite's arithmetic bit for bit: a 31-bit multiplier and a shift, then zero point and limits.
//
// Rounds twice as gemmlowp does (`once` 0) or once, halves away from zero (`once` 1). One result per cycle, 9 cycles.
module ek_requantize (
    input  logic               clk,
    input  logic signed [31:0] sum,
    input  logic signed [31:0] bias,
    input  logic [30:0]        multiplier,
    input  logic [4:0]         left,
    input  logic [4:0]         right,
    input  logic               once,
    input  logic signed [7:0]  zero,   // these three 7 cycles later
    input  logic signed [7:0]  least,
    input  logic signed [7:0]  most,
    output logic signed [7:0]  result
);
  // 1: bias, 2: shift left
  logic signed [31:0] biased, x;
  logic [30:0] m1, m2;
  logic [4:0] left1, right1, right2, right3, right4, right5, right6;
  logic once1, once2, once3, once4, once5;
  always_ff @(posedge clk) begin
    biased <= sum + bias;
    m1 <= multiplier;
    left1 <= left;
    x <= biased <<< left1;
    m2 <= m1;
    {right1, right2, right3, right4, right5} <= {right, right1, right2, right3, right4};
    {once1, once2, once3, once4, once5} <= {once, once1, once2, once3, once4};
  end
  // 3 to 5: a product of 32 x 31 bits of four products of 18 x 18 bits
  logic signed [17:0] x_low, x_high, m_low, m_high;
  logic signed [35:0] low_low, low_high, high_low, high_high, low_low4, high_high4;
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
    low_low4 <= low_low;
    high_high4 <= high_high;
    product <= ({{28{high_high4[35]}}, high_high4} <<< 34) + (64'(middle) <<< 17) + 64'(low_low4);
  end
  // 6: the product's upper bits, rounded unless the shift to the right is where it is rounded once
  logic signed [31:0] upper;
  logic negative, tie, more;
  assign negative = product[63];
  assign tie = product[29:0] == 0;
  assign more = product[30] && !(once5 && negative && tie) && !(once5 && right5 != 0);
  logic sticky;
  always_ff @(posedge clk) begin
    upper <= product[62:31] + {31'b0, more};
    sticky <= once5 && product[30:0] != 0;
    right6 <= right5;
  end
  // 7: shift to the right and round to nearest, halves away from zero
  logic [31:0] mask, rest, threshold;
  logic signed [31:0] shifted;
  logic up;
  assign mask = ~(32'hffffffff << right6);
  always_ff @(posedge clk) begin
    shifted <= upper >>> right6;
    rest <= $unsigned(upper) & mask;
    threshold <= (mask >> 1) + {31'b0, upper[31] && !sticky};
  end
  assign up = rest > threshold;
  // 8: zero point, 9: limits
  logic signed [32:0] shown;
  logic signed [7:0] least8, most8;
  always_ff @(posedge clk) begin
    shown <= 33'(shifted) + 33'(zero) + {32'b0, up};
    least8 <= least;
    most8 <= most;
    if (shown > 33'(most8)) result <= most8;
    else if (shown < 33'(least8)) result <= least8;
    else result <= shown[7:0];
  end
endmodule
