// Reads one value a line, described so that nothing is lost on the way, and writes it as encoding/json does.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
)

// A value is ["n"] (null), ["b", true], ["i", "12"], ["f", "0x1.8p+1"], ["s", "text"], ["l", value...] or
// ["m", key, value, key, value...].
func build(described []json.RawMessage) any {
	var kind, text string
	must(json.Unmarshal(described[0], &kind))
	switch kind {
	case "b":
		var value bool
		must(json.Unmarshal(described[1], &value))
		return value
	case "i":
		must(json.Unmarshal(described[1], &text))
		if value, err := strconv.ParseInt(text, 10, 64); err == nil {
			return value
		}
		value, err := strconv.ParseUint(text, 10, 64)
		must(err)
		return value
	case "f":
		must(json.Unmarshal(described[1], &text))
		value, err := strconv.ParseFloat(text, 64)
		must(err)
		return value
	case "s":
		must(json.Unmarshal(described[1], &text))
		return text
	case "l":
		values := []any{}
		for _, item := range described[1:] {
			values = append(values, buildRaw(item))
		}
		return values
	case "m":
		values := map[string]any{}
		for i := 1; i < len(described); i += 2 {
			must(json.Unmarshal(described[i], &text))
			values[text] = buildRaw(described[i+1])
		}
		return values
	}
	return nil
}

func buildRaw(raw json.RawMessage) any {
	var described []json.RawMessage
	must(json.Unmarshal(raw, &described))
	return build(described)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		written, err := json.Marshal(buildRaw(line))
		must(err)
		fmt.Fprintln(out, string(written))
	}
}
