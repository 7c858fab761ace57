module conformance-plugin

go 1.19
