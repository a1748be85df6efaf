package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// answerer answers one question, whose arguments are a JSON object.
type answerer func(arguments json.RawMessage) (any, error)

// with reads the arguments into a struct.
func with[T any](call func(T) (any, error)) answerer {
	return func(arguments json.RawMessage) (any, error) {
		var read T
		if err := json.Unmarshal(arguments, &read); err != nil {
			return nil, err
		}
		return call(read)
	}
}

// nothing is the arguments of a question that has none.
type nothing struct{}

// serve answers JSON lines until standard input ends (tests/interop/src/peer.rs).
func serve(calls map[string]answerer) {
	// Libraries print what they like; only answers may reach the other side.
	answers := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(err)
		}
		result, err := ask(calls, line)
		answer := map[string]any{"result": result}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		if err := answers.Encode(answer); err != nil {
			panic(err)
		}
	}
}

func ask(calls map[string]answerer, line []byte) (result any, err error) {
	// Whatever it is, the test shall read it.
	defer func() {
		if what := recover(); what != nil {
			err = fmt.Errorf("%v\n%s", what, debug.Stack())
		}
	}()
	var question struct {
		Call string
		With json.RawMessage
	}
	if err := json.Unmarshal(line, &question); err != nil {
		return nil, err
	}
	call, known := calls[question.Call]
	if !known {
		return nil, fmt.Errorf("there is no call %q", question.Call)
	}
	return call(question.With)
}
