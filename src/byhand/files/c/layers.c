/* The layers in C, as they are written into the file of a network, each only where the network has it.
 *
 * Pictures lie in memory as everywhere in byhand: channel by channel, row by row. x is what a layer reads and y what it
 * writes; where a layer may write over what it reads, x and y may be the same. This file is a part of the Python
 * package, which picks functions out of it by their names: a blank line ends each, and none is inside. */

/* Where weights stay. avr-gcc would copy constants to RAM, unless they are told not to (with -std=gnu99). */
#if defined(__FLASH) && !defined(__STRICT_ANSI__)
#define BYHAND_FLASH __flash
#else
#define BYHAND_FLASH
#endif

/* How a filter or a pool is laid over a picture. */
typedef struct {
    int channels, height, width;
    int out_channels, out_height, out_width;
    int kernel_height, kernel_width;
    int stride_height, stride_width;
    int padding_height, padding_width;
    int dilation_height, dilation_width;
    int groups;
} window;

/* y = W x + b: every output is a weighted sum of all inputs. */
static void linear(const float *x, float *y, int inputs, int outputs, const BYHAND_FLASH float *weight,
        const BYHAND_FLASH float *bias)
{
    for (int o = 0; o < outputs; o++) {
        float sum = bias[o];
        for (int i = 0; i < inputs; i++)
            sum += *weight++ * x[i];
        y[o] = sum;
    }
}

/* Of a window that begins at `start`, which may be outside the picture: the first element that is inside, */
static int first_inside(int start, int dilation)
{
    return start < 0 ? (dilation - 1 - start) / dilation : 0;
}

/* and the end of those that are. */
static int end_inside(int start, int dilation, int size, int kernel)
{
    int fitting = (size - start + dilation - 1) / dilation;
    return fitting < kernel ? fitting : kernel;
}

/* Filters laid over every place of a picture: at each, a weighted sum of what lies under the filter. What is outside
 * the picture counts as 0. With groups, a filter sees the channels of its group only. */
static void conv2d(const float *x, float *y, const window *w, const BYHAND_FLASH float *weight,
        const BYHAND_FLASH float *bias)
{
    int channels = w->channels / w->groups, filters = w->out_channels / w->groups;
    for (int o = 0; o < w->out_channels; o++) {
        const float *seen = x + o / filters * channels * w->height * w->width;
        for (int i = 0; i < w->out_height; i++)
            for (int j = 0; j < w->out_width; j++) {
                int top = i * w->stride_height - w->padding_height, left = j * w->stride_width - w->padding_width;
                int rows = end_inside(top, w->dilation_height, w->height, w->kernel_height);
                int columns = end_inside(left, w->dilation_width, w->width, w->kernel_width);
                float sum = bias[o];
                for (int c = 0; c < channels; c++)
                    for (int u = first_inside(top, w->dilation_height); u < rows; u++) {
                        int place = (c * w->height + top + u * w->dilation_height) * w->width + left;
                        const BYHAND_FLASH float *line = weight + (c * w->kernel_height + u) * w->kernel_width;
                        for (int v = first_inside(left, w->dilation_width); v < columns; v++)
                            sum += line[v] * seen[place + v * w->dilation_width];
                    }
                *y++ = sum;
            }
        weight += channels * w->kernel_height * w->kernel_width;
    }
}

/* Numbers in eight bits: x[i] is about step * q[i], with q from -127 to 127 and the step such that the largest fits.
 * Returns the step. (A cast cuts off; what is positive by 128 and then cut off is rounded.) Numbers of which one is
 * infinite, or none at all, have no step: it is not a number then, and nor is what is made of it. */
static float quantize(const float *x, int8_t *q, int n)
{
    float largest = 1e-30f;
    for (int i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= largest)) {
            largest = fabsf(x[i]);
            if (!(largest < INFINITY))
                break;
        }
    int finite = largest < INFINITY;
    float inverse = 127 / largest;
    for (int i = 0; i < n; i++)
        q[i] = finite ? (int8_t)((int)(x[i] * inverse + 128.5f) - 128) : 0;
    return finite ? largest / 127 : NAN;
}

/* As linear, with weights in eight bits: outputs are added up in whole numbers, and then brought to scale. */
static void linear_int8(const float *x, float *y, int inputs, int outputs, const BYHAND_FLASH int8_t *weight,
        const BYHAND_FLASH float *scale, const BYHAND_FLASH float *bias)
{
    float step = quantize(x, quantized, inputs);
    for (int o = 0; o < outputs; o++) {
        int32_t sum = 0;
        for (int i = 0; i < inputs; i++)
            sum += *weight++ * quantized[i];
        y[o] = (float)sum * (step * scale[o]) + bias[o];
    }
}

/* As conv2d, with weights in eight bits: outputs are added up in whole numbers, and then brought to scale. */
static void conv2d_int8(const float *x, float *y, const window *w, const BYHAND_FLASH int8_t *weight,
        const BYHAND_FLASH float *scale, const BYHAND_FLASH float *bias)
{
    int channels = w->channels / w->groups, filters = w->out_channels / w->groups;
    float step = quantize(x, quantized, w->channels * w->height * w->width);
    for (int o = 0; o < w->out_channels; o++) {
        const int8_t *seen = quantized + o / filters * channels * w->height * w->width;
        for (int i = 0; i < w->out_height; i++)
            for (int j = 0; j < w->out_width; j++) {
                int top = i * w->stride_height - w->padding_height, left = j * w->stride_width - w->padding_width;
                int rows = end_inside(top, w->dilation_height, w->height, w->kernel_height);
                int columns = end_inside(left, w->dilation_width, w->width, w->kernel_width);
                int32_t sum = 0;
                for (int c = 0; c < channels; c++)
                    for (int u = first_inside(top, w->dilation_height); u < rows; u++) {
                        int place = (c * w->height + top + u * w->dilation_height) * w->width + left;
                        const BYHAND_FLASH int8_t *line = weight + (c * w->kernel_height + u) * w->kernel_width;
                        for (int v = first_inside(left, w->dilation_width); v < columns; v++)
                            sum += line[v] * seen[place + v * w->dilation_width];
                    }
                *y++ = (float)sum * (step * scale[o]) + bias[o];
            }
        weight += channels * w->kernel_height * w->kernel_width;
    }
}

/* The largest number in each window, or none where one of them is none. */
static void max_pool2d(const float *x, float *y, const window *w)
{
    for (int c = 0; c < w->channels; c++, x += w->height * w->width)
        for (int i = 0; i < w->out_height; i++)
            for (int j = 0; j < w->out_width; j++) {
                int top = i * w->stride_height - w->padding_height, left = j * w->stride_width - w->padding_width;
                int rows = end_inside(top, 1, w->height, w->kernel_height);
                int columns = end_inside(left, 1, w->width, w->kernel_width);
                float largest = -INFINITY;
                for (int u = first_inside(top, 1); u < rows; u++)
                    for (int v = first_inside(left, 1); v < columns; v++) {
                        float here = x[(top + u) * w->width + left + v];
                        if (here > largest || isnan(here))
                            largest = here;
                    }
                *y++ = largest;
            }
}

/* The mean of each window. What is outside the picture counts as 0. */
static void avg_pool2d(const float *x, float *y, const window *w)
{
    for (int c = 0; c < w->channels; c++, x += w->height * w->width)
        for (int i = 0; i < w->out_height; i++)
            for (int j = 0; j < w->out_width; j++) {
                int top = i * w->stride_height - w->padding_height, left = j * w->stride_width - w->padding_width;
                int rows = end_inside(top, 1, w->height, w->kernel_height);
                int columns = end_inside(left, 1, w->width, w->kernel_width);
                float sum = 0;
                for (int u = first_inside(top, 1); u < rows; u++)
                    for (int v = first_inside(left, 1); v < columns; v++)
                        sum += x[(top + u) * w->width + left + v];
                *y++ = sum / (float)(w->kernel_height * w->kernel_width);
            }
}

/* The mean of each channel, looked at twice: a long sum loses digits, and how far all numbers are from what came of it
 * says how many. */
static void global_avg_pool2d(const float *x, float *y, int channels, int places)
{
    for (int c = 0; c < channels; c++, x += places) {
        float mean = 0, missing = 0;
        for (int i = 0; i < places; i++)
            mean += x[i] / (float)places;
        for (int i = 0; i < places; i++)
            missing += (x[i] - mean) / (float)places;
        y[c] = mean + missing;
    }
}

/* Each channel times a number, plus a number: a normalization whose mean and spread are known. */
static void scale_and_shift(const float *x, float *y, int channels, int places, const BYHAND_FLASH float *scale,
        const BYHAND_FLASH float *shift)
{
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < places; i++)
            *y++ = *x++ * scale[c] + shift[c];
}

/* All numbers together brought to mean 0 and variance 1, then each times a weight, plus a bias. Both are looked at
 * twice, as in global_avg_pool2d. */
static void layer_norm(const float *x, float *y, int n, float eps, const BYHAND_FLASH float *weight,
        const BYHAND_FLASH float *bias)
{
    float mean = 0, missing = 0, variance = 0, lost = 0;
    for (int i = 0; i < n; i++)
        mean += x[i] / (float)n;
    for (int i = 0; i < n; i++)
        missing += (x[i] - mean) / (float)n;
    for (int i = 0; i < n; i++)
        y[i] = x[i] - mean - missing;
    for (int i = 0; i < n; i++)
        variance += y[i] * y[i] / (float)n;
    for (int i = 0; i < n; i++)
        lost += (y[i] * y[i] - variance) / (float)n;
    float spread = sqrtf(variance + lost + eps);
    for (int i = 0; i < n; i++)
        y[i] = y[i] / spread * weight[i] + bias[i];
}

/* max(x, 0), and what is not a number stays so */
static void relu(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

/* x where positive, slope times x elsewhere */
static void leaky_relu(const float *x, float *y, int n, float slope)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

/* x where positive, alpha times (e^x - 1) elsewhere */
static void elu(const float *x, float *y, int n, float alpha)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : alpha * expm1f(x[i]);
}

/* x times the share of a normal distribution that lies below x */
static void gelu(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] * (1 + erff(x[i] * 0.70710678f)) / 2;
}

/* 1 / (1 + e^-x), between 0 and 1 */
static void sigmoid(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = 1 / (1 + expf(-x[i]));
}

/* x / (1 + e^-x) */
static void silu(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] / (1 + expf(-x[i]));
}

/* ln(1 + e^x), written so that nothing overflows */
static void softplus(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = (x[i] > 0 ? x[i] : 0) + log1pf(expf(-fabsf(x[i])));
}

/* The hyperbolic tangent, between -1 and 1 */
static void hyperbolic_tangent(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = tanhf(x[i]);
}

/* e^x over the sum of all e^x: probabilities. The largest is taken away first, so that nothing overflows. */
static void softmax(const float *x, float *y, int n)
{
    float largest = x[0], sum = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > largest)
            largest = x[i];
    for (int i = 0; i < n; i++)
        sum += y[i] = expf(x[i] - largest);
    for (int i = 0; i < n; i++)
        y[i] /= sum;
}

/* The logarithms of probabilities, without the detour through numbers too small to hold. */
static void log_softmax(const float *x, float *y, int n)
{
    float largest = x[0], sum = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > largest)
            largest = x[i];
    for (int i = 0; i < n; i++)
        sum += expf(x[i] - largest);
    for (int i = 0; i < n; i++)
        y[i] = x[i] - largest - logf(sum);
}

/* The way through a block and the way around it, added. */
static void add(const float *x, const float *around, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] + around[i];
}

/* The place of the largest number, the first of equal ones. */
static int largest_of(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* The same numbers, elsewhere. */
static void copy(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i];
}
