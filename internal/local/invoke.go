package local

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// aliasName is the alias that the program points at the version that passed its smoke test.
const aliasName = "live"

// saysRuntime says that a line is the one in which an execution environment tells what it runs on, in either log format.
func saysRuntime(line string) bool {
	return strings.Contains(line, "INIT_START") || strings.Contains(line, "platform.initStart")
}

// errDown says that there is nothing to ask.
var errDown = errors.New("the emulator is not running: start it with make local")

// awsConfig returns a client configuration for the emulated account.
func (l *Local) awsConfig(ctx context.Context, url string) (aws.Config, error) {
	region, err := l.region()
	if err != nil {
		return aws.Config{}, err
	}
	return config.LoadDefaultConfig(ctx, config.WithBaseEndpoint(url), config.WithRegion(region),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
}

// invoke invokes the deployed functions with a JSON event.
func (l *Local) invoke(ctx context.Context, event string) error {
	d := l.running(ctx)
	if d == nil {
		return errDown
	}
	names, err := l.functionNames()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := l.invokeAt(ctx, d.URL, name, event); err != nil {
			return err
		}
	}
	return nil
}

// invokeAt prints what the runtime logged and, last, what the function returned.
func (l *Local) invokeAt(ctx context.Context, url, name, event string) error {
	cfg, err := l.awsConfig(ctx, url)
	if err != nil {
		return err
	}
	out, err := lambda.NewFromConfig(cfg).Invoke(ctx, &lambda.InvokeInput{
		FunctionName: aws.String(name + ":" + aliasName), Payload: []byte(event), LogType: types.LogTypeTail,
	})
	if err != nil {
		return fmt.Errorf("invoking %q: %w", name, err)
	}
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		return fmt.Errorf("reading the log of %q: %w", name, err)
	}
	if !saysRuntime(string(log)) { // the environment was started before, by the smoke test
		started := ""
		err := eachLogLine(ctx, cfg, name, func(line string) {
			if saysRuntime(line) {
				started = line
			}
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(l.out, "    "+started)
	}
	for line := range strings.Lines(string(log)) {
		fmt.Fprint(l.out, "    "+line)
	}
	fmt.Fprintln(l.out, string(out.Payload))
	if out.FunctionError != nil {
		return fmt.Errorf("invoking %q: the function failed (%s)", name, *out.FunctionError)
	}
	return nil
}

// logs prints the functions' log groups, each with its oldest event first.
func (l *Local) logs(ctx context.Context) error {
	d := l.running(ctx)
	if d == nil {
		return errDown
	}
	names, err := l.functionNames()
	if err != nil {
		return err
	}
	cfg, err := l.awsConfig(ctx, d.URL)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := eachLogLine(ctx, cfg, name, func(line string) { fmt.Fprintln(l.out, line) }); err != nil {
			return err
		}
	}
	return nil
}

// eachLogLine calls f for each event of the function's log group, oldest first.
func eachLogLine(ctx context.Context, cfg aws.Config, name string, f func(line string)) error {
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(cloudwatchlogs.NewFromConfig(cfg), &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String("/aws/lambda/" + name),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("reading the logs of %q: %w", name, err)
		}
		for _, e := range page.Events {
			f(strings.TrimRight(aws.ToString(e.Message), "\n"))
		}
	}
	return nil
}
