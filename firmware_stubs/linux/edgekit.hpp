/* edgekit's runtime library in C++17: a header over edgekit.h; link with libedgekit.
 *
 *     edgekit::Network network("model.edgekit");
 *     std::copy(pixels.begin(), pixels.end(), network.input<std::int8_t>(0));
 *     network.run();
 *     const std::int8_t *scores = network.output<std::int8_t>(0);
 */
#ifndef EDGEKIT_HPP
#define EDGEKIT_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "edgekit.h"

namespace edgekit
{

/* What failed, in one line, and its status. */
class Error : public std::runtime_error
{
  public:
    Error(int status, const char *why) : std::runtime_error(why), status_(status)
    {
    }
    int status() const noexcept
    {
        return status_;
    }

  private:
    int status_;
};

/* What was said in a recording. */
struct Transcript {
    std::string text;
    std::vector<edgekit_spoken> labels;
};

namespace detail
{
template <class T> struct type_of;
template <> struct type_of<float> : std::integral_constant<int, EDGEKIT_FLOAT32> {};
template <> struct type_of<double> : std::integral_constant<int, EDGEKIT_FLOAT64> {};
template <> struct type_of<std::int8_t> : std::integral_constant<int, EDGEKIT_INT8> {};
template <> struct type_of<std::uint8_t> : std::integral_constant<int, EDGEKIT_UINT8> {};
template <> struct type_of<std::int16_t> : std::integral_constant<int, EDGEKIT_INT16> {};
template <> struct type_of<std::uint16_t> : std::integral_constant<int, EDGEKIT_UINT16> {};
template <> struct type_of<std::int32_t> : std::integral_constant<int, EDGEKIT_INT32> {};
template <> struct type_of<std::uint32_t> : std::integral_constant<int, EDGEKIT_UINT32> {};
template <> struct type_of<std::int64_t> : std::integral_constant<int, EDGEKIT_INT64> {};
template <> struct type_of<std::uint64_t> : std::integral_constant<int, EDGEKIT_UINT64> {};
template <> struct type_of<bool> : std::integral_constant<int, EDGEKIT_BOOL> {};
} // namespace detail

/* A network, for one thread at a time. It can be moved, not copied. Functions throw Error. */
class Network
{
  public:
    explicit Network(const std::string &bundle, int threads = 1, unsigned flags = 0)
    {
        edgekit_options options{};
        options.size = sizeof options;
        options.threads = threads;
        options.flags = flags;
        edgekit_instance *made = nullptr;
        if (int status = edgekit_open(bundle.c_str(), &options, &made))
            throw Error(status, edgekit_error(nullptr));
        instance_.reset(made);
    }

    std::uint32_t inputs() const
    {
        return edgekit_input_count(instance_.get());
    }
    std::uint32_t outputs() const
    {
        return edgekit_output_count(instance_.get());
    }
    const edgekit_tensor &input_tensor(std::uint32_t number) const
    {
        return found(edgekit_input(instance_.get(), number), "input");
    }
    const edgekit_tensor &output_tensor(std::uint32_t number) const
    {
        return found(edgekit_output(instance_.get(), number), "output");
    }

    /* The memory of an input or output, whose elements are of type T; it stays where it is. */
    template <class T> T *input(std::uint32_t number)
    {
        check<T>(input_tensor(number));
        return static_cast<T *>(edgekit_input_data(instance_.get(), number));
    }
    template <class T> const T *output(std::uint32_t number) const
    {
        check<T>(output_tensor(number));
        return static_cast<const T *>(edgekit_output_data(instance_.get(), number));
    }

    /* Make the inputs of a text in UTF-8, as the bundle's task says. */
    void set_text(const std::string &text)
    {
        check(edgekit_set_text(instance_.get(), text.data(), text.size()));
    }

    /* Make the inputs of a row, which has a cell for each of the task's columns. */
    void set_row(const std::vector<edgekit_cell> &cells)
    {
        check(edgekit_set_row(instance_.get(), cells.data(), static_cast<std::uint32_t>(cells.size())));
    }

    /* One inference. */
    void run()
    {
        check(edgekit_run(instance_.get()));
    }
    /* Forget what earlier inferences left in a network with state. */
    void restart()
    {
        check(edgekit_restart(instance_.get()));
    }

    /* Make the input of a picture or of a clip of sound, as the bundle's task says. */
    void set(const edgekit_picture &picture)
    {
        check(edgekit_set_picture(instance_.get(), &picture));
    }
    void set(const edgekit_sound &sound)
    {
        check(edgekit_set_sound(instance_.get(), &sound));
    }
    /* The classes with the highest scores, the best first: as many as the task says, but no more than `most`. */
    std::vector<edgekit_class> classes(std::uint32_t most = 100)
    {
        std::vector<edgekit_class> found(most);
        check(edgekit_classes(instance_.get(), found.data(), most, &most));
        found.resize(most);
        return found;
    }
    /* What a detector found in the picture, the highest score first. */
    std::vector<edgekit_detection> detections(std::uint32_t most = 1000)
    {
        std::vector<edgekit_detection> found(most);
        check(edgekit_detections(instance_.get(), found.data(), most, &most));
        found.resize(most);
        return found;
    }
    /* What a regression estimates, in the task's unit, whose name `unit` gets. */
    std::vector<float> values(std::string *unit = nullptr)
    {
        std::vector<float> found(elements());
        std::uint32_t count = 0;
        const char *name = "";
        check(edgekit_values(instance_.get(), found.data(), static_cast<std::uint32_t>(found.size()), &count, &name));
        found.resize(count);
        if (unit)
            *unit = name;
        return found;
    }
    /* The class of each of a picture's pixels, row by row: runs the network on it. */
    std::vector<std::uint8_t> mask(const edgekit_picture &picture)
    {
        set(picture);
        run();
        std::vector<std::uint8_t> made(static_cast<std::size_t>(picture.width) * picture.height);
        check(edgekit_mask(instance_.get(), made.data(), picture.width));
        return made;
    }
    /* The name of a class in a mask; NULL where there is no such class. */
    const char *mask_label(std::uint32_t number)
    {
        return edgekit_mask_label(instance_.get(), number);
    }
    /* The labels of the gallery that are nearest, the nearest first: as many as the task says, but no more than
       `most`. */
    std::vector<edgekit_neighbour> neighbours(std::uint32_t most = 100)
    {
        std::vector<edgekit_neighbour> found(most);
        check(edgekit_neighbours(instance_.get(), found.data(), most, &most));
        found.resize(most);
        return found;
    }
    /* What an embedding makes of its sample, at unit length. */
    std::vector<float> embedding()
    {
        std::uint32_t count = 0;
        std::vector<float> found(elements());
        check(edgekit_embedding(instance_.get(), found.data(), static_cast<std::uint32_t>(found.size()), &count));
        found.resize(count);
        return found;
    }
    /* What the bundle's task is, "detection"; NULL if it has none. */
    const char *task() const
    {
        return edgekit_task(instance_.get());
    }
    /* What the network hears at once. */
    struct edgekit_clip_format clip()
    {
        struct edgekit_clip_format made{};
        made.size = sizeof made;
        check(edgekit_clip(instance_.get(), &made));
        return made;
    }
    /* How unusual a recording is: runs the network on each of its clips. */
    struct edgekit_anomaly_sum anomaly(edgekit_sound sound)
    {
        struct edgekit_anomaly_sum made{};
        std::uint32_t clips = 0;
        made.size = sizeof made;
        check(edgekit_clips(instance_.get(), &sound, &clips));
        for (sound.clip = 0; sound.clip < clips; sound.clip++) {
            set(sound);
            run();
            check(edgekit_anomaly(instance_.get(), &made));
        }
        return made;
    }

    /* What was said in a recording: runs the network on each of its clips. */
    Transcript transcript(edgekit_sound sound)
    {
        Transcript made;
        struct edgekit_transcript_part part{};
        std::uint32_t clips = 0;
        part.size = sizeof part;
        check(edgekit_clips(instance_.get(), &sound, &clips));
        for (sound.clip = 0; sound.clip < clips; sound.clip++) {
            set(sound);
            run();
            part.clip = sound.clip;
            part.last = sound.clip + 1 == clips;
            check(edgekit_transcript(instance_.get(), &part));
            made.text += part.text;
            made.labels.insert(made.labels.end(), part.labels, part.labels + part.count);
        }
        return made;
    }

    const char *runtime() const
    {
        return edgekit_runtime(instance_.get());
    }
    edgekit_instance *get() const noexcept
    {
        return instance_.get();
    }

  private:
    struct Close {
        void operator()(edgekit_instance *instance) const noexcept
        {
            edgekit_close(instance);
        }
    };
    std::unique_ptr<edgekit_instance, Close> instance_;

    void check(int status) const
    {
        if (status)
            throw Error(status, edgekit_error(instance_.get()));
    }
    /* Of the first output. */
    std::size_t elements() const
    {
        std::size_t count = 1;
        const edgekit_tensor *output = edgekit_output(instance_.get(), 0);
        for (std::uint32_t i = 0; output && i < output->rank; i++)
            count *= static_cast<std::size_t>(output->shape[i]);
        return count;
    }
    static const edgekit_tensor &found(const edgekit_tensor *tensor, const char *kind)
    {
        if (!tensor)
            throw Error(EDGEKIT_USAGE, (std::string("there is no such ") + kind).c_str());
        return *tensor;
    }
    template <class T> static void check(const edgekit_tensor &tensor)
    {
        if (tensor.type != detail::type_of<T>::value)
            throw Error(EDGEKIT_USAGE, (std::string(tensor.name) + " has elements of type " + tensor.dtype).c_str());
    }
};

} // namespace edgekit

#endif
