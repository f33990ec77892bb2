package provider

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const invocationToken = "aws:lambda/invocation:Invocation"

// lambdaAPI answers invocations as Lambda does, with an error of the function for an event that asks for one.
func lambdaAPI(t *testing.T) (calls *[]string) {
	calls = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*calls = append(*calls, r.URL.Path+" "+string(body))
		if strings.Contains(string(body), "fail") {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, err = io.WriteString(w, `{"errorMessage": "no such module"}`)
		} else {
			_, err = io.WriteString(w, `{"id": 1}`)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	return calls
}

func TestAnInvocationIsOfOneVersionAndFailsWithTheFunction(t *testing.T) {
	calls := lambdaAPI(t)
	client := serve(t)
	invoke := func(input, scope string) (*pulumirpc.CreateResponse, error) {
		return client.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(invocationToken), Properties: wire(t, props(map[string]any{
			"functionName": "f", "qualifier": "7", "input": input, "lifecycleScope": scope, "terraformKey": "tf"}))})
	}
	good, err := invoke(`{"a": 1}`, "CREATE_ONLY")
	if err != nil || good.GetProperties().GetFields()["result"].GetStringValue() != `{"id": 1}` {
		t.Errorf("result %v, %v", good, err)
	}
	if _, err := invoke(`{"a": 1}`, crud); err != nil {
		t.Error(err)
	}
	_, err = invoke(`"fail"`, "CREATE_ONLY")
	if err == nil || !strings.Contains(err.Error(), `Unhandled: {"errorMessage": "no such module"}`) {
		t.Errorf("a function that fails: %v", err)
	}
	const path = "/2015-03-31/functions/f:7/invocations "
	want := []string{path + `{"a": 1}`, path + `{"a":1,"tf":{"action":"create","prev_input":null}}`, path + `"fail"`}
	if got := strings.Join(*calls, "\n"); strings.ReplaceAll(got, "%3A", ":") != strings.Join(want, "\n") {
		t.Errorf("calls:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}
