// Package bundle turns a requirements file and a folder of sources into the zip of a Python Lambda function: built for
// the function's own architecture on any host, verified to load there, and the same bytes on every machine.
//
// The way is straight: the requirements are staged in canonical form ([Requirements]), a builder makes the dependency
// tree of them, the tree is normalised, scanned and deflated once into the cache ([Dependencies]), and the sources are
// laid over it ([Dependencies.Bundle]). [Build] does all of it. Nothing here knows of Pulumi, reads the environment or
// talks to AWS.
package bundle
