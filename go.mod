module rsm

go 1.26
