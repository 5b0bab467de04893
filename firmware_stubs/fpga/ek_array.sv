// IC x OC multipliers with stationary weights: every cycle OC sums of IC products of int8.
//
// The next weights are shifted in row by row behind the ones in use; `swap` makes them the ones in use together with the
// activations of the same cycle. With PACKED, one 18 x 18 multiplier makes two products: of w1 * 1024 + w0, where the
// low product's upper bits are found modulo 64 in logic. Weights are then at least -127.
module ek_array #(
    parameter int IC = 16,
    parameter int OC = 8,
    parameter int PACKED = 0
) (
    input  logic               clk,
    input  logic [IC-1:0]      weight_rows,      // that `weights` are for
    input  logic               weight_diagonal,  // `weights` are four rows, each of every fourth column
    input  logic [OC*8-1:0]    weights,
    input  logic               swap,
    input  logic [IC*8-1:0]    activations,  // one cycle after swap
    output logic [OC*20-1:0]   sums          // 4 + 2 * PACKED cycles after activations
);
  logic [IC*OC*16-1:0] products;
  genvar i, j;
  generate
    for (i = 0; i < IC; i++) begin : g_row
      logic signed [7:0] a;
      logic here;
      assign a = activations[8*i+:8];
      assign here = weight_rows[i];
      if (PACKED == 0) begin : g_plain
        for (j = 0; j < OC; j++) begin : g_column
          logic signed [7:0] next, weight, a_then, weight_then;  // the multiplier's own registers
          logic signed [15:0] product;
          always_ff @(posedge clk) begin
            if (here) next <= weight_diagonal && i % 4 != j % 4 ? 8'd0 : weights[8*j+:8];
            if (swap) weight <= next;
            a_then <= a;
            weight_then <= weight;
            product <= a_then * weight_then;
          end
          assign products[16*(i*OC+j)+:16] = product;
        end
      end else begin : g_packed
        for (j = 0; j < OC; j += 2) begin : g_pair
          logic signed [7:0] w0, w1;
          logic signed [17:0] next, pair, pair_then;  // the multiplier's own registers, a_then, too
          logic signed [7:0] a_then;
          logic [5:0] next_low, low;  // of w1
          logic signed [25:0] both, both_then;
          logic [5:0] modulo, x, upper, s0, s1, s2, s01, s2_then;
          logic signed [15:0] p0, p1;
          logic [5:0] t0, t1, t2, t3, t4, t5;
          assign w0 = weight_diagonal && i % 4 != j % 4 ? 8'd0 : weights[8*j+:8];
          assign w1 = weight_diagonal && i % 4 != (j + 1) % 4 ? 8'd0 : weights[8*j+8+:8];
          assign x = a[5:0];
          // low * x modulo 64; written out, because `*` would take a multiplier
          assign t0 = x[0] ? low : 6'd0;
          assign t1 = x[1] ? {low[4:0], 1'b0} : 6'd0;
          assign t2 = x[2] ? {low[3:0], 2'b0} : 6'd0;
          assign t3 = x[3] ? {low[2:0], 3'b0} : 6'd0;
          assign t4 = x[4] ? {low[1:0], 4'b0} : 6'd0;
          assign t5 = x[5] ? {low[0], 5'b0} : 6'd0;
          assign upper = both_then[15:10] - modulo;
          always_ff @(posedge clk) begin
            if (here) begin
              next <= {w1, 10'b0} + 18'(w0);
              next_low <= w1[5:0];
            end
            if (swap) begin
              pair <= next;
              low <= next_low;
            end
            a_then <= a;
            pair_then <= pair;
            both <= 26'(a_then * pair_then);
            s0 <= t0 + t1;
            s1 <= t2 + t3;
            s2 <= t4 + t5;
            both_then <= both;
            s01 <= s0 + s1;
            s2_then <= s2;
            modulo <= s01 + s2_then;
            p0 <= {upper, both_then[9:0]};
            p1 <= both_then[25:10] - 16'($signed(upper));
          end
          assign products[16*(i*OC+j)+:16] = p0;
          assign products[16*(i*OC+j+1)+:16] = p1;
        end
      end
    end
    for (j = 0; j < OC; j++) begin : g_sum
      localparam int QUARTERS = IC / 4;
      logic [QUARTERS*18-1:0] parts;
      logic signed [19:0] sum, total;
      for (i = 0; i < QUARTERS; i++) begin : g_part
        logic signed [15:0] a, b, c, d;
        logic signed [17:0] part;
        assign a = products[16*((4*i)*OC+j)+:16];
        assign b = products[16*((4*i+1)*OC+j)+:16];
        assign c = products[16*((4*i+2)*OC+j)+:16];
        assign d = products[16*((4*i+3)*OC+j)+:16];
        always_ff @(posedge clk) part <= (18'(a) + 18'(b)) + (18'(c) + 18'(d));
        assign parts[18*i+:18] = part;
      end
      if (QUARTERS == 4) begin : g_four
        assign total = (20'($signed(parts[17:0])) + 20'($signed(parts[35:18])))
                     + (20'($signed(parts[53:36])) + 20'($signed(parts[71:54])));
      end else if (QUARTERS == 2) begin : g_two
        assign total = 20'($signed(parts[17:0])) + 20'($signed(parts[35:18]));
      end else begin : g_one
        assign total = 20'($signed(parts));
      end
      always_ff @(posedge clk) sum <= total;
      assign sums[20*j+:20] = sum;
    end
  endgenerate
endmodule
