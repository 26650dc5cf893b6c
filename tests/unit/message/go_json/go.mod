module taskflow/gojson

go 1.22
