package provider

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sample-python-arm64-lambda/internal/testtools"
)

// startMoto starts the real emulator and has the AWS SDK of this process use it. Its Lambda does not execute.
func startMoto(t *testing.T) *clients {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(address, ":")
	cmd := exec.CommandContext(t.Context(), testtools.Python(t), "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
	cmd.Env = append(os.Environ(), "MOTO_IAM_LOAD_MANAGED_POLICIES=true")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("moto:\n%s", log.String())
		}
	})
	url := "http://" + address
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get(url + "/moto-api/"); err == nil {
			_ = response.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("moto does not answer:\n%s", log.String())
		}
	}
	t.Setenv("AWS_ENDPOINT_URL", url)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	post(t, url+"/moto-api/config", `{"lambda": {"use_docker": false}}`)
	c, err := (&settings{Region: region}).connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const region = "ap-northeast-1"

func post(t *testing.T, url, body string) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	if response.StatusCode >= 300 {
		t.Fatalf("%s: %s", url, response.Status)
	}
}

// leftovers lists what is in the emulator.
func leftovers(t *testing.T, c *clients) (left []string) {
	t.Helper()
	ctx := t.Context()
	functions, err := c.services["lambda"].(*lambda.Client).ListFunctions(ctx, &lambda.ListFunctionsInput{})
	layers, err2 := c.services["lambda"].(*lambda.Client).ListLayers(ctx, &lambda.ListLayersInput{})
	roles, err3 := c.services["iam"].(*iam.Client).ListRoles(ctx, &iam.ListRolesInput{})
	groups, err4 := c.services["logs"].(*cloudwatchlogs.Client).DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
	buckets, err5 := c.s3.ListBuckets(ctx, &s3.ListBucketsInput{})
	repositories, err6 := c.services["ecr"].(*ecr.Client).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	if err := errors.Join(err, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	for _, f := range functions.Functions {
		left = append(left, "function "+*f.FunctionName)
	}
	for _, l := range layers.Layers {
		left = append(left, "layer "+*l.LayerName)
	}
	for _, r := range roles.Roles {
		left = append(left, "role "+*r.RoleName)
	}
	for _, g := range groups.LogGroups {
		left = append(left, "log group "+*g.LogGroupName)
	}
	for _, b := range buckets.Buckets {
		left = append(left, "bucket "+*b.Name)
	}
	for _, r := range repositories.Repositories {
		left = append(left, "repository "+*r.RepositoryName)
	}
	return left
}

func functionHash(ctx context.Context, t *testing.T, c *clients, name string) string {
	t.Helper()
	out, err := c.services["lambda"].(*lambda.Client).GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Configuration.CodeSha256
}
