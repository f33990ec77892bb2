package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"sample-python-arm64-lambda/bundle"
)

// stageContext writes the docker context and says how to build it by hand.
func stageContext(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		spec bundle.Spec
		t    targetFlags
	)
	flags := flag.NewFlagSet("context", flag.ContinueOnError)
	flags.StringVar(&spec.Requirements, "requirements", "requirements.txt", "requirements `FILE`")
	t.add(flags)
	operands, err := parse(flags, args, stderr, "DIR")
	if err != nil {
		return err
	}
	if spec.Target, err = t.parse(stderr); err != nil {
		return err
	}
	dir := operands[0]
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		if _, err := os.Stat(dir + "/Dockerfile"); err != nil {
			return fmt.Errorf("folder %q is not empty and holds no docker context: name a new one", dir)
		}
	}
	c, err := bundle.Stage(spec, dir, true, bundle.Options{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\nbuild it: DOCKER_BUILDKIT=1 docker build --platform %s --build-arg BASE=%s -t %s %s\nbundle it: bundle build -image %s\n",
		dir, c.Platform, c.Args["BASE"], "dependencies:"+c.Tag, dir, "dependencies:"+c.Tag)
	return err
}
