package main

import (
	"errors"
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// useAccount fills in what follows from the account of bootstrap/, for this process and those that it starts: the backend,
// the key for secrets and the registry. What is set stays. PULUMI_ORG moves state and secrets to Pulumi Cloud.
func useAccount() error {
	account, region := os.Getenv("AWS_ACCOUNT_ID"), os.Getenv("AWS_REGION")
	if account == "" {
		return nil
	}
	var project struct{ Name string }
	text, err := os.ReadFile("Pulumi.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &project)
	}
	if err != nil {
		return fmt.Errorf("reading Pulumi.yaml: %w", err)
	}
	defaults := map[string]string{
		"PULUMI_BACKEND_URL":      fmt.Sprintf("s3://%s-state-%s?region=%s", project.Name, account, region),
		"PULUMI_SECRETS_PROVIDER": fmt.Sprintf("awskms://alias/%s?region=%s", project.Name, region),
		"REGISTRY":                fmt.Sprintf("%s.dkr.ecr.%s.amazonaws.com/%s", account, region, project.Name),
	}
	if os.Getenv("PULUMI_ORG") != "" {
		defaults["PULUMI_BACKEND_URL"], defaults["PULUMI_SECRETS_PROVIDER"] = "https://api.pulumi.com", "default"
	}
	var errs []error
	for name, value := range defaults {
		if os.Getenv(name) == "" {
			errs = append(errs, os.Setenv(name, value))
		}
	}
	return errors.Join(errs...)
}
