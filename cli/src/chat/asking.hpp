#pragma once

// One question to the daemon and its streamed answer, over the gRPC socket for apps. `skerry run`
// asks through it, once or as a chat.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "skerry/cli/chat.hpp"
#include "skerry/inference/v1/inference.grpc.pb.h"

#include "interrupts.hpp"
#include "remote.hpp"

namespace skerry::cli {

struct AskOptions {
  std::string socket;
  std::string priority = "interactive";
  std::uint32_t timeout_seconds = 300;
  // The text is sent as it is, without the chat template: the last turn alone.
  bool raw = false;
};

// The daemon as the chat sees it.
class RemoteModel final : public ChatModel {
 public:
  using OnText = std::function<void(std::string_view)>;

  // kUnavailable if nobody listens. `interrupts` may be null: then Ctrl-C ends the program.
  static Result<std::unique_ptr<RemoteModel>> connect(AskOptions options, Interrupts* interrupts);

  ChatReply ask(const ChatTranscript& transcript, const OnText& on_text) override;
  Result<std::string> describe(const std::string& model) override;

 private:
  RemoteModel(AskOptions options,
              Interrupts* interrupts,
              const std::shared_ptr<grpc::Channel>& channel);

  AskOptions options_;
  Interrupts* interrupts_;
  std::unique_ptr<skerry::inference::v1::InferenceService::Stub> stub_;
};

}  // namespace skerry::cli
