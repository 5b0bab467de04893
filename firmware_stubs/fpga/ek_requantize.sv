// One requantization lane, TFLite's arithmetic bit for bit: a 31-bit multiplier and a shift, then zero point and limits.
//
// Rounds twice as gemmlowp does (`once` 0) or once, halves away from zero (`once` 1). One result per cycle, 15 cycles,
// 16 with FEW, which takes three multipliers instead of four.
module ek_requantize #(
    parameter int FEW = 0
) (
    input  logic               clk,
    input  logic signed [31:0] sum,
    input  logic signed [31:0] bias,
    input  logic [30:0]        multiplier,
    input  logic [4:0]         left,
    input  logic [4:0]         right,
    input  logic               once,
    input  logic signed [7:0]  zero,   // these three 11 + FEW cycles later
    input  logic signed [7:0]  least,
    input  logic signed [7:0]  most,
    output logic signed [7:0]  result
);
  // 1: bias, 2 and 3: shift left
  logic signed [31:0] biased, x2, x;
  logic [30:0] m1, m2, m3;
  logic [4:0] left1, right0, right1, right2, right3, right4, right5, right6, right7, right8, right9;
  logic [2:0] left2, right10;
  logic once0, once1, once2, once3, once4, once5, once6, once7;
  always_ff @(posedge clk) begin
    biased <= sum + bias;
    m1 <= multiplier;
    left1 <= left;
    x2 <= biased <<< {left1[4:3], 3'b0};
    left2 <= left1[2:0];
    x <= x2 <<< left2;
    m2 <= m1;
    m3 <= m2;
    {right1, right2, right3, right4, right5, right6, right7, right8, right9} <= {
      right0, right1, right2, right3, right4, right5, right6, right7, right8
    };
    {once1, once2, once3, once4, once5, once6, once7} <= {once0, once1, once2, once3, once4, once5, once6};
  end
  // 4 to 7, or with FEW to 8: a product of 32 x 31 bits of several of 18 x 18 bits, whose multipliers have registers on
  // both sides
  logic signed [63:0] product;
  generate
    if (FEW == 0) begin : g_four
      // Halves of 17 bits below; the lowest product is less than 2**34.
      logic signed [17:0] x_low, x_high, m_low, m_high, x_low_then, x_high_then, m_low_then, m_high_then;
      /* verilator lint_off UNUSEDSIGNAL */
      logic signed [35:0] low_low, low_high, high_low, high_high;
      /* verilator lint_on UNUSEDSIGNAL */
      logic signed [29:0] high4;
      logic [33:0] low4;
      logic signed [36:0] middle;
      assign right0 = right;
      assign once0 = once;
      assign x_low = {1'b0, x[16:0]};
      assign x_high = {{3{x[31]}}, x[31:17]};
      assign m_low = {1'b0, m3[16:0]};
      assign m_high = {4'b0, m3[30:17]};
      always_ff @(posedge clk) begin
        {x_low_then, x_high_then, m_low_then, m_high_then} <= {x_low, x_high, m_low, m_high};
        low_low <= x_low_then * m_low_then;
        low_high <= x_low_then * m_high_then;
        high_low <= x_high_then * m_low_then;
        high_high <= x_high_then * m_high_then;
        middle <= 37'(low_high) + 37'(high_low);
        low4 <= low_low[33:0];
        high4 <= high_high[29:0];
        product[63:17] <= $signed({high4, low4[33:17]}) + 47'(middle);
        product[16:0] <= low4[16:0];
      end
    end else begin : g_three
      // Halves of 16 bits below: the sum of the two products across is that of sums less the other two (Karatsuba).
      logic signed [17:0] x_low, x_high, x_sum, m_low, m_high, m_sum;
      /* verilator lint_off UNUSEDSIGNAL */
      logic signed [35:0] low_low, high_high, sum_sum;
      /* verilator lint_on UNUSEDSIGNAL */
      logic signed [34:0] sums5, others5;
      logic [31:0] low5, high5, low6, high6;
      logic signed [32:0] middle;
      always_ff @(posedge clk) begin
        right0 <= right;
        once0 <= once;
        x_low <= {2'b0, x[15:0]};
        x_high <= {{2{x[31]}}, x[31:16]};
        x_sum <= {2'b0, x[15:0]} + {{2{x[31]}}, x[31:16]};
        m_low <= {2'b0, m3[15:0]};
        m_high <= {3'b0, m3[30:16]};
        m_sum <= {2'b0, m3[15:0]} + {3'b0, m3[30:16]};
        low_low <= x_low * m_low;
        high_high <= x_high * m_high;
        sum_sum <= x_sum * m_sum;
        sums5 <= sum_sum[34:0];
        others5 <= low_low[34:0] + high_high[34:0];
        {high5, low5} <= {high_high[31:0], low_low[31:0]};
        middle <= 33'(sums5 - others5);
        {high6, low6} <= {high5, low5};
        product[63:16] <= $signed({high6, low6[31:16]}) + 48'(middle);
        product[15:0] <= low6[15:0];
      end
    end
  endgenerate
  // 8: is the product rounded up? Not if it is the shift to the right where it is rounded once.
  logic [31:0] upper8;
  logic more, sticky8;
  always_ff @(posedge clk) begin
    upper8 <= product[62:31];
    more <= product[30] && !(once7 && (right7 != 0 || (product[63] && product[29:0] == 0)));
    sticky8 <= once7 && product[30:0] != 0;
  end
  // 9: its upper bits; of those that are shifted out, the highest and the others
  logic [31:0] upper, mask, mask8, highest, others;
  logic sticky;
  assign mask = ~(32'hffffffff << right7);
  always_ff @(posedge clk) begin
    upper <= upper8 + {31'b0, more};
    sticky <= sticky8;
    mask8 <= mask;
    highest <= mask8 & ~(mask8 >> 1);
    others <= mask8 >> 1;
  end
  // 10 and 11: shift to the right and round to nearest, halves away from zero
  logic signed [31:0] shifted10, shifted;
  logic [31:0] below;
  logic half, negative, up;
  always_ff @(posedge clk) begin
    shifted10 <= $signed(upper) >>> {right9[4:3], 3'b0};
    right10 <= right9[2:0];
    half <= |(upper & highest);
    below <= upper & others;
    negative <= upper[31] && !sticky;
    shifted <= shifted10 >>> right10;
    up <= half && (!negative || below != 0);
  end
  // 12: zero point, 13: clipped to 9 bits, 14 and 15: limits
  logic signed [32:0] shown;
  logic signed [8:0] clipped;
  logic signed [7:0] least12, most12, least13, most13;
  logic signed [7:0] least14, most14, clipped14;
  logic carry, above, under;
  always_ff @(posedge clk) begin
    {shown, carry} <= {shifted[31], shifted, 1'b1} + {{25{zero[7]}}, zero, up};
    least12 <= least;
    most12 <= most;
    clipped <= shown[32:8] == {25{shown[32]}} ? shown[8:0] : {shown[32], {8{!shown[32]}}};
    least13 <= least12;
    most13 <= most12;
    above <= 9'(most13) < clipped;
    under <= clipped < 9'(least13);
    least14 <= least13;
    most14 <= most13;
    clipped14 <= clipped[7:0];
    result <= above ? most14 : under ? least14 : clipped14;
  end
  logic unused;
  assign unused = carry;
endmodule
