module starttls/test/peers/others

go 1.26.0

require (
	github.com/siddontang/go-mysql v1.1.0
	pack.ag/amqp v0.11.2
)

require (
	github.com/pingcap/errors v0.11.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/satori/go.uuid v1.2.0 // indirect
	github.com/siddontang/go v0.0.0-20180604090527-bdc77568d726 // indirect
	github.com/siddontang/go-log v0.0.0-20180807004314-8d05993dda07 // indirect
)
