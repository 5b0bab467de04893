// Eight lanes of ek_requantize side by side, each with a row of its own; 136 bits of inputs per lane, 8 of results.
module requantize_lanes #(
    parameter int FEW = 0
) (
    input  logic          clk,
    input  logic [1087:0] rows,
    input  logic [191:0]  limits,
    output logic [63:0]   results
);
  for (genvar g = 0; g < 8; g++) begin : g_lane
    ek_requantize #(.FEW(FEW)) lane (
        .clk(clk), .sum(rows[136*g+:32]), .bias(rows[136*g+32+:32]), .multiplier(rows[136*g+64+:31]),
        .left(rows[136*g+96+:5]), .right(rows[136*g+104+:5]), .once(rows[136*g+112]),
        .zero(limits[24*g+:8]), .least(limits[24*g+8+:8]), .most(limits[24*g+16+:8]), .result(results[8*g+:8])
    );
  end
endmodule
