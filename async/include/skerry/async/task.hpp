#pragma once

// `Task<T>` is the one asynchronous vocabulary: an Asio coroutine. It runs on the executor it was
// spawned on and is cancelled through Asio's cancellation slots. Coroutines live in the agent, the
// controller and the supervisor alone.
//
// g++ 12 destroys some temporaries of a `co_await` statement twice: nothing in braces and no
// capturing lambda inside one; name it first, then std::move it (scripts/check-co-await.py).

#include <boost/asio/awaitable.hpp>

namespace skerry {

template <class T>
using Task = boost::asio::awaitable<T>;

}  // namespace skerry
