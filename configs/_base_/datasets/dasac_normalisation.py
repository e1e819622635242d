# Statistics with which DA-SAC normalises source images (`model.data_preprocessor.source`): they
# give the normalised source the mean and standard deviation of the normalised target,
#     (x - mean_s) / std_s * std_t + mean_t, then ImageNet's (x - mean) / std.
# As published, GTA's statistics are used for SYNTHIA too; SYNTHIA's own are
# mean_s = [0.315, 0.278, 0.248], std_s = [0.225, 0.214, 0.210].
imagenet_mean, imagenet_std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
mean_s, std_s = [0.481, 0.479, 0.465], [0.243, 0.239, 0.237]  # GTA
mean_t, std_t = [0.300, 0.344, 0.297], [0.175, 0.180, 0.177]  # Cityscapes
source_normalisation = dict(
    mean=[
        255 * (mean_s[rgb] - std_s[rgb] / std_t[rgb] * (mean_t[rgb] - imagenet_mean[rgb]))
        for rgb in range(3)
    ],
    std=[255 * std_s[rgb] / std_t[rgb] * imagenet_std[rgb] for rgb in range(3)],
)
