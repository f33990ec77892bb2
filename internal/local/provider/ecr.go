package provider

var repository = &kind{
	inputs: schema{
		"forceDelete":                {local: true},
		"imageScanningConfiguration": {fields: properties("scanOnPush")},
		"imageTagMutability":         {def: "MUTABLE"},
		"name":                       {autoName: 256, replace: true},
		"tags":                       {},
	},
	outputs: []string{"arn", "registryId", "repositoryUrl"},
	tagged:  &tagging{tag: "ecr:TagResource", untag: "ecr:UntagResource", key: "resourceArn", list: true},
	create: func(c *call) error {
		name := c.in.string("name")
		return c.make(name, "ecr:CreateRepository", c.in, object{"repositoryName": name, "tags": tagList(c.tags())})
	},
	read: func(c *call) (object, error) {
		answer, err := c.do("ecr:DescribeRepositories", object{"repositoryNames": []string{c.id}})
		if err != nil || len(answer.list("repositories")) == 0 {
			return nil, errorOr(err, errGone)
		}
		r := object(answer.list("repositories")[0].(map[string]any))
		tags, err := c.do("ecr:ListTagsForResource", object{"resourceArn": r["repositoryArn"]})
		return r.with(object{
			"name": c.id, "arn": r["repositoryArn"], "repositoryUrl": r["repositoryUri"], "tags": tagMap(tags.list("tags")),
		}), err
	},
	update: func(c *call) error {
		name := object{"repositoryName": c.id}
		if c.changed["imageTagMutability"] {
			if err := c.try("ecr:PutImageTagMutability", c.in, name); err != nil {
				return err
			}
		}
		if !c.changed["imageScanningConfiguration"] {
			return nil
		}
		scanning := object{"imageScanningConfiguration": object{"scanOnPush": false}}
		return c.try("ecr:PutImageScanningConfiguration", name, scanning, c.in.only("imageScanningConfiguration"))
	},
	delete: func(c *call) error {
		return c.try("ecr:DeleteRepository", object{"repositoryName": c.id, "force": c.state.bool("forceDelete")})
	},
}
