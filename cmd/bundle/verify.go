package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"sample-python-arm64-lambda/bundle/verify"
)

func verifyBundle(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		opts   verify.Options
		ignore waivers
		t      targetFlags
	)
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	t.add(flags)
	flags.StringVar(&opts.Handler, "handler", "", "Lambda handler, MODULE.FUNCTION; not checked where it is left out")
	flags.Var(&ignore, "ignore", "waive findings, `CODE:GLOB` (docs/verify.md); can be given many times")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	operands, err := parse(flags, args, stderr, "ZIP|DIR")
	if err != nil {
		return err
	}
	parsed, err := t.parse(stderr)
	if err != nil {
		return err
	}
	opts.Ignore = ignore
	report, err := verify.Verify(ctx, operands[0], parsed, opts)
	if err != nil {
		return err
	}
	if *asJSON {
		if err := printJSON(stdout, report); err != nil {
			return err
		}
		return report.Err()
	}
	for _, f := range report.Waived {
		fmt.Fprintln(stderr, "waived:", f)
	}
	for _, r := range report.Remarks {
		fmt.Fprintln(stderr, "remark:", r)
	}
	if err := report.Err(); err != nil {
		return fmt.Errorf("%s does not fit %s:\n%w", operands[0], parsed, err)
	}
	_, err = fmt.Fprintf(stdout, "%s fits %s: %d files, %d packages, %s unzipped, %d remarks\n",
		operands[0], parsed, report.Files, len(report.Packages), megabytes(report.UnzippedBytes), len(report.Remarks))
	return err
}
