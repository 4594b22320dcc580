#include "skerry/async/run_until_first_exit.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace skerry::async {

namespace asio = boost::asio;

Task<void> run_until_first_exit(std::vector<Task<void>> tasks) {
  const auto executor = co_await asio::this_coro::executor;
  using Operation = decltype(asio::co_spawn(executor, std::declval<Task<void>>(), asio::deferred));
  std::vector<Operation> operations;
  operations.reserve(tasks.size());
  for (auto& task : tasks) {
    operations.push_back(asio::co_spawn(executor, std::move(task), asio::deferred));
  }
  auto group = asio::experimental::make_parallel_group(std::move(operations));
  auto [order, exceptions] =
      co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  if (exceptions[order[0]]) {
    std::rethrow_exception(exceptions[order[0]]);
  }
}

}  // namespace skerry::async
