module tyk.upgrade/lab

go 1.24

require github.com/TykTechnologies/gorpc v0.0.0-20210624160652-fe65bda0ccb9
