package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
)

// dataReceived notes messages of data channels.
func (m *member) dataReceived(packet lksdk.DataPacket, from lksdk.DataReceiveParams) {
	switch one := packet.(type) {
	case *lksdk.UserDataPacket:
		m.note("DataReceived", from.SenderIdentity, []string{one.Topic, string(one.Payload)})
	case *livekit.ChatMessage:
		m.note("ChatMessage", from.SenderIdentity, one.Message)
	}
}

// listen takes what comes as streams and calls.
func (m *member) listen() {
	must(m.room.RegisterTextStreamHandler("words", func(reader *lksdk.TextStreamReader, who string) {
		m.note("TextStream", who, reader.ReadAll())
	}))
	must(m.room.RegisterByteStreamHandler("files", func(reader *lksdk.ByteStreamReader, who string) {
		whole := reader.ReadAll()
		m.note("File", who, []any{*reader.Info.Name, []int{len(whole), fault(whole)}})
	}))
	must(m.room.RegisterRpcMethod("echo", func(call lksdk.RpcInvocationData) (string, error) {
		return call.CallerIdentity + " said " + call.Payload, nil
	}))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// contents is the bytes of every file of the tests.
func contents(count int) []byte {
	bytes := make([]byte, count)
	for at := range bytes {
		bytes[at] = byte(at*31 + (at >> 8))
	}
	return bytes
}

// fault is where a file is wrong; -1 is nowhere.
func fault(whole []byte) int {
	for at, wanted := range contents(len(whole)) {
		if whole[at] != wanted {
			return at
		}
	}
	return -1
}

type saying struct {
	Text     string
	Topic    string
	Reliable bool
	To       []string
}

// say sends a data message, to all if "to" is empty.
func (m *member) say(with saying) (any, error) {
	packet := &lksdk.UserDataPacket{Payload: []byte(with.Text), Topic: with.Topic}
	return nil, m.room.LocalParticipant.PublishDataPacket(
		packet,
		lksdk.WithDataPublishReliable(with.Reliable),
		lksdk.WithDataPublishDestination(with.To),
	)
}

// stream sends a text stream.
func (m *member) stream(with struct{ Text string }) (any, error) {
	m.room.LocalParticipant.SendText(with.Text, lksdk.StreamTextOptions{Topic: "words"})
	return nil, nil
}

type filing struct {
	Name  string
	Bytes int
	To    []string
}

// file sends a file.
func (m *member) file(with filing) (any, error) {
	folder, err := os.MkdirTemp("", "ringway-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, with.Name)
	if err := os.WriteFile(path, contents(with.Bytes), 0o600); err != nil {
		return nil, err
	}
	_, err = m.room.LocalParticipant.SendFile(path, lksdk.StreamBytesOptions{
		Topic: "files", DestinationIdentities: with.To, FileName: &with.Name,
	})
	return nil, err
}

// chat says something in the chat.
func (m *member) chat(with struct{ Text string }) (any, error) {
	message := lksdk.ChatMessage(time.Time{}, with.Text)
	reliable := lksdk.WithDataPublishReliable(true)
	return nil, m.room.LocalParticipant.PublishDataPacket(message, reliable)
}

// call calls a procedure of another participant's.
func (m *member) call(with struct{ To, Payload string }) (any, error) {
	answer, err := m.room.LocalParticipant.PerformRpc(lksdk.PerformRpcParams{
		DestinationIdentity: with.To, Method: "echo", Payload: with.Payload,
	})
	if err != nil {
		return nil, err
	}
	return *answer, nil
}
