module auth-plugin

go 1.19
