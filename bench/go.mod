module rsm/bench

go 1.26.0
