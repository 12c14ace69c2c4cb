// Package faults breaks what a running program rests on: its backends, its certificates, its disk, its
// store, its descriptors, its clock, its peers. In each test sessions of others go on meanwhile and check
// each byte that they get; what befell is in the log; and in the end the program holds no goroutine and
// no descriptor more than before.
//
// The program is the test's own binary, started again, so that it is as the test is (-race), and a
// process of its own, so that what it holds can be counted from outside.
package faults
