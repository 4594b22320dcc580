#pragma once

// The two steps of an embedding that the service layer adds to the worker's own: texts of inputs
// that came as tokens, and how many tokens the texts had. Private to Inference.

#include <string>
#include <variant>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "skerry/async/task.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::agent {

// The text of each input. kInvalidArgument if the model would not write a text as the tokens that
// were given for it: it would embed something else.
Task<Result<std::vector<std::string>>> embed_texts(
    runtime::LoadedModel& model,
    runtime::RequestMeta meta,
    std::vector<std::variant<std::string, std::vector<std::int32_t>>> inputs,
    runtime::OnSubmit on_submit);

struct CountedEmbeddings {
  runtime::Embeddings embeddings;
  runtime::Usage usage;
};

// As runtime::embed, with the usage that the worker reports. `served_by` is told as in
// runtime::Done, also of a request that failed; it outlives the call.
Task<Result<CountedEmbeddings>> embed_counted(boost::asio::any_io_executor executor,
                                              runtime::LoadedModel& model,
                                              runtime::EmbedRequest request,
                                              runtime::OnSubmit on_submit,
                                              std::string& served_by);

}  // namespace skerry::agent
