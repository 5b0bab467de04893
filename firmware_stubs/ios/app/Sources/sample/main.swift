import EdgekitNetwork

// `swift run sample`, on a Mac.
for line in Sample.report() {
    print(line)
}
