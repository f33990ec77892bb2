package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// inspect shows what is in a zip, whatever it is for.
func inspect(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("inspect", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "print as JSON")
	operands, err := parse(flags, args, stderr, "ZIP")
	if err != nil {
		return err
	}
	facts, zipped, err := verify.ScanPath(ctx, operands[0])
	if err != nil {
		return err
	}
	report := facts.Judge(target.Default, verify.Options{ZippedBytes: zipped})
	if *asJSON {
		return printJSON(stdout, report)
	}
	fmt.Fprintf(stdout, "%s: %d files, %s zipped, %s unzipped, %d packages\n\n",
		operands[0], report.Files, megabytes(report.ZippedBytes), megabytes(report.UnzippedBytes), len(report.Packages))
	for _, p := range report.Packages {
		fmt.Fprintf(stdout, "%10s  %s %s\n", megabytes(p.Bytes), p.Name, p.Version)
	}
	fmt.Fprintln(stdout)
	for _, t := range target.All() {
		fits := "fits"
		if n := len(facts.Judge(t, verify.Options{ZippedBytes: zipped}).Errors); n > 0 {
			fits = fmt.Sprintf("does not fit: %d findings (bundle verify -runtime %s -arch %s)", n, t.Runtime.Name, t.Arch)
		}
		fmt.Fprintf(stdout, "%-22s %s\n", t, fits)
	}
	return nil
}
