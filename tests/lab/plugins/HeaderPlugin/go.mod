module header-plugin

go 1.19
